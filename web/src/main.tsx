// The page: takes the key of the link, if there is one, asks whose it is, and shows the library.
import { render } from "preact";
import "../styles/page.css";
import { App } from "./components/App.js";
import * as folders from "./folders.js";
import * as library from "./library.js";
import { followHistory } from "./route.js";
import { followList } from "./selection.js";
import { load, takeKeyOfLink } from "./session.js";
import { followSession } from "./uploads.js";

takeKeyOfLink();
// The link can also be opened in a tab that shows the page already.
addEventListener("hashchange", () => {
  if (!location.hash.startsWith("#key=")) return;
  takeKeyOfLink();
  void load();
});
followHistory();
library.followRoute();
folders.followRoute();
followList();
followSession();
render(<App />, document.body);
void load();
