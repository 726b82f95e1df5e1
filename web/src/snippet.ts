// Code to copy that uploads with a key: a whole page without any dependency, and the client.

/** For a script: `<` could end it. */
const quote = (text: string) => JSON.stringify(text).replace(/</g, "\\u003c");

export const fetchSnippet = (origin: string, token: string) => `<!doctype html>
<meta charset="utf-8">
<title>Upload</title>
<label>Files <input type="file" multiple></label>
<output></output>
<script type="module">
  const api = ${quote(origin)};
  const headers = { authorization: "Bearer " + ${quote(token)}, "content-type": "application/json" };
  const output = document.querySelector("output");

  async function post(path, body) {
    const answer = await fetch(api + path, { method: "POST", headers, body: JSON.stringify(body) });
    const json = await answer.json();
    if (!answer.ok) throw new Error(json.errors?.map(({ msg }) => msg).join(" ") || json.message);
    return json;
  }

  async function upload(file) {
    const declared = { filename: file.name, mime_type: file.type || "application/octet-stream", size_bytes: file.size };
    const { asset_id, upload } = await post("/v1/asset-uploads", declared);
    const sent = await fetch(upload.url, { method: upload.method, headers: upload.headers, body: file });
    // 412: the file is there already.
    if (!sent.ok && sent.status !== 412) throw new Error("storage answered " + sent.status);
    return post("/v1/asset-uploads/" + asset_id + "/confirmations", {});
  }

  document.querySelector("input").addEventListener("change", async (event) => {
    for (const file of event.target.files) {
      output.textContent = "Uploading " + file.name;
      try {
        const asset = await upload(file);
        output.textContent = "Uploaded " + asset.name;
      } catch (error) {
        output.textContent = file.name + ": " + error.message;
      }
    }
  });
</script>
`;

export const clientSnippet = (origin: string, token: string) => `// npm install ./asset-uploads/clients/typescript, in a copy of this project's source
import { createClient } from "asset-uploads-client";

const client = createClient({ baseUrl: ${quote(origin)}, token: ${quote(token)} });

document.querySelector("input[type=file]").addEventListener("change", async (event) => {
  for (const file of event.target.files) {
    const asset = await client.upload(file, {
      onProgress: (sent, total) => console.log(file.name, Math.round((100 * sent) / total) + "%"),
    });
    console.log("uploaded", asset.name, asset.url);
  }
});
`;
