// The API reference at /docs: Swagger UI with openapi.json, which sends requests with the key of this tab.
import SwaggerUIBundle from "swagger-ui-dist/swagger-ui-es-bundle.js";
import "swagger-ui-dist/swagger-ui.css";
import "./docs.css";

// Where the page at / keeps it, in this tab alone.
const key = sessionStorage.getItem("asset-uploads.key");

const dark = matchMedia("(prefers-color-scheme: dark)");
const showColors = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", showColors);
showColors();

const ui = SwaggerUIBundle({
  url: "/openapi.json",
  domNode: document.querySelector("#reference")!,
  deepLinking: true,
  filter: true,
  // It would put the key into localStorage, which all tabs and later visits have.
  persistAuthorization: false,
  // Otherwise an outside service would be asked.
  validatorUrl: null,
  onComplete: () => {
    if (key !== null) ui.preauthorizeApiKey("HTTPBearer", key);
    document.querySelector("#key")!.textContent =
      key === null ? "To try requests, press Authorize and enter a key." : "Requests that you try are sent with your key.";
  },
});
