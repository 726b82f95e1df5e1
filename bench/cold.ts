// Cold starts: a process that is there already, as on Cloudflare's machines, loads a Worker anew for each request.
import type { Module } from "./peers.ts";
import { Program } from "./process.ts";
import { COMPATIBILITY, variables } from "./simulator.ts";

/** A program that answers each request with a fresh copy of the Worker that the header x-bench-worker names. */
export function coldStarts(workers: Map<string, Module[]>): Program {
  const modules: Module[] = [];
  const imports: string[] = [];
  const list = [...workers].map(([name, parts]) => {
    const entries = parts.map(({ path, type, contents }) => {
      const file = `part-${modules.length}`;
      modules.push({ path: file, type: type === "CompiledWasm" ? "Data" : "Text", contents });
      imports.push(`import part${imports.length} from "${file}";`);
      return `${JSON.stringify(path)}: { ${type === "CompiledWasm" ? "wasm" : "js"}: part${imports.length - 1} }`;
    });
    return `${JSON.stringify(name)}: { mainModule: ${JSON.stringify(parts[0]!.path)}, modules: { ${entries.join(", ")} } }`;
  });
  const main = `${imports.join("\n")}
const WORKERS = { ${list.join(",\n")} };
const ENV = ${JSON.stringify(variables())};
let count = 0;

// V8 compiles the same WebAssembly once a process: a custom section with a number makes it another.
function anew(wasm) {
  const bytes = new Uint8Array(wasm.byteLength + 12);
  bytes.set(new Uint8Array(wasm));
  bytes.set([0, 10, 1, 110], wasm.byteLength);
  new DataView(bytes.buffer).setFloat64(wasm.byteLength + 4, count);
  return bytes.buffer;
}

export default {
  fetch(request, env) {
    count++;
    const name = request.headers.get("x-bench-worker");
    const { mainModule, modules } = WORKERS[name];
    const fresh = Object.fromEntries(Object.entries(modules).map(([path, part]) => [path, part.wasm ? { wasm: anew(part.wasm) } : part]));
    const code = { compatibilityDate: ${JSON.stringify(COMPATIBILITY.date)}, compatibilityFlags: ${JSON.stringify(COMPATIBILITY.flags)}, mainModule, modules: fresh, env: ENV };
    return env.LOADER.get(\`\${name}-\${count}\`, () => code).getEntrypoint().fetch(request);
  },
};
`;
  return new Program("cold", [{ path: "loader.js", type: "ESModule", contents: Buffer.from(main) }, ...modules], true);
}
