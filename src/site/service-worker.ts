/** Keeps the page for use without a network. The runtime keeps the models, each when an image first needs it. */

interface Life extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface Asked extends Life {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}
interface Scope {
  addEventListener(type: "install" | "activate", listener: (event: Life) => void): void;
  addEventListener(type: "fetch", listener: (event: Asked) => void): void;
  skipWaiting(): Promise<void>;
  readonly clients: { claim(): Promise<void> };
}
const scope = self as unknown as Scope;

const cacheName = "hub-pathway-page";
/** The export writes the names of its files here. */
const shell: readonly string[] = ["SHELL"];

scope.addEventListener("install", (event) => {
  const filled = caches.open(cacheName).then((cache) => cache.addAll(shell));
  event.waitUntil(filled.then(() => scope.skipWaiting()));
});
// A page that is open already gets its files from here at once, so that the first visit is enough.
scope.addEventListener("activate", (event) => event.waitUntil(scope.clients.claim()));

scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  // Models have a cache of their own, with hashes.
  if (request.method !== "GET" || origin !== location.origin || /\/bundle\/.+\.onnx$/.test(pathname)) return;
  event.respondWith(answered(request));
});

/** From the network, so that a new export is seen; from the cache without one. */
async function answered(request: Request): Promise<Response> {
  const cache = await caches.open(cacheName);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}
