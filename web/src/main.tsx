// The page: what is shown first.
import { render } from "preact";

render(<main />, document.body);
