// Stylesheets by their address: see build.mjs.
declare module "*.css?url" {
  const url: string;
  export default url;
}
