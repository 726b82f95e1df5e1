// The uploader's stylesheet, loaded with it.
/// <reference path="./css.d.ts" />
import url from "./uploader.css?url";

let added: Promise<void> | undefined;

/** Adds it once. Without it everything works, only less prettily. */
export function addStylesheet(): Promise<void> {
  added ??= new Promise((resolve) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = url;
    link.onload = () => resolve();
    link.onerror = () => resolve();
    document.head.append(link);
  });
  return added;
}
