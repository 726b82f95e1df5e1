// How esbuild makes scripts and stylesheets of the pages: each has a hash in its name, and is served from /static/.
import { build } from "esbuild";

const common = { bundle: true, minify: true, target: "es2022" };

/** `import url from "./x.css?url"`: the address of a stylesheet that a script adds once it is needed. */
const stylesheetUrls = {
  name: "stylesheet urls",
  setup({ onResolve, onLoad, resolve }) {
    onResolve({ filter: /\.css\?url$/ }, async ({ path, importer, resolveDir, kind }) => {
      const { path: found, errors } = await resolve(path.replace(/\?url$/, ""), { importer, resolveDir, kind });
      return { path: found, errors, namespace: "stylesheet-url" };
    });
    onLoad({ filter: /.*/, namespace: "stylesheet-url" }, async ({ path }) => {
      const { outputFiles } = await build({ ...common, entryPoints: [path], write: false });
      return { contents: outputFiles[0].contents, loader: "file" };
    });
  },
};

export const options = {
  ...common,
  splitting: true,
  format: "esm",
  legalComments: "linked",
  jsx: "automatic",
  jsxImportSource: "preact",
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  publicPath: "/static",
  plugins: [stylesheetUrls],
};
