// The little of swagger-ui-dist that docs.ts uses; the package has no types.
declare module "swagger-ui-dist/swagger-ui-es-bundle.js" {
  interface SwaggerUi {
    preauthorizeApiKey(scheme: string, key: string): void;
  }
  interface Options {
    spec: object;
    domNode: Element;
    deepLinking: boolean;
    filter: boolean;
    persistAuthorization: boolean;
    validatorUrl: null;
    onComplete: () => void;
  }
  const SwaggerUIBundle: (options: Options) => SwaggerUi;
  export default SwaggerUIBundle;
}

declare module "*.css";
