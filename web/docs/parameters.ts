// What the reference changes in openapi.json: examples of parameters become text.

interface Parameter {
  in: string;
  name: string;
  description?: string;
  example?: unknown;
}

interface Document {
  paths: Record<string, Record<string, { parameters?: Parameter[] }>>;
}

/**
 * Swagger UI sends examples of parameters unless one empties every field, so a request that is tried would ask for another
 * organization, or for files of a folder that nobody has. Only the organization that was chosen is filled in.
 */
export function withoutPrefilledExamples(document: Document, organization: string | null): Document {
  const parameters = Object.values(document.paths).flatMap(Object.values).flatMap(({ parameters }) => parameters ?? []);
  for (const parameter of parameters) {
    const { name, description = "", example } = parameter;
    if (example === undefined) continue;
    delete parameter.example;
    parameter.description = `${description} For example \`${String(example)}\`.`.trim();
    if (name === "X-Organization-Id" && organization !== null) parameter.example = organization;
  }
  return document;
}
