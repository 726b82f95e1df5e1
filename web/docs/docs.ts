// The API reference at /docs: Swagger UI with openapi.json, which sends requests with the key of this tab.
import SwaggerUIBundle from "swagger-ui-dist/swagger-ui-es-bundle.js";
import "swagger-ui-dist/swagger-ui.css";
import "./docs.css";
import { withoutPrefilledExamples } from "./parameters.js";

// Where the page at / keeps what this tab is signed in with.
const key = sessionStorage.getItem("asset-uploads.key");
const organization = sessionStorage.getItem("asset-uploads.organization");

const status = document.querySelector("#key")!;

const dark = matchMedia("(prefers-color-scheme: dark)");
const showColors = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", showColors);
showColors();

try {
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`it answers ${answer.status}`);
  show(withoutPrefilledExamples(await answer.json(), organization));
} catch (error) {
  status.textContent = `openapi.json cannot be loaded: ${error instanceof Error ? error.message : error}. Reload the page to try again.`;
}

function show(spec: object): void {
  const ui = SwaggerUIBundle({
    spec,
    domNode: document.querySelector("#reference")!,
    deepLinking: true,
    filter: true,
    // It would put the key into localStorage, which all tabs and later visits have.
    persistAuthorization: false,
    // Otherwise an outside service would be asked.
    validatorUrl: null,
    onComplete: () => {
      if (key !== null) ui.preauthorizeApiKey("HTTPBearer", key);
      status.textContent =
        key === null ? "To try requests, press Authorize and enter a key." : "Requests that you try are sent with your key.";
    },
  });
}
