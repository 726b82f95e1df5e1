// A Worker that does nothing: what a fresh process and a request cost in any case.
export default {
  fetch: () => new Response('{"status":"ok"}', { headers: { "content-type": "application/json" } }),
};
