/** The server's own page: tries an image, and lists the routes of /openapi.json. It asks no other host. */
export const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hub-Pathway</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
  pre { background: color-mix(in srgb, currentColor 8%, transparent); padding: 0.75rem; overflow: auto; }
  code { font-size: 0.95em; }
  details { border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent); padding: 0.4rem 0; }
  label { display: inline-block; margin: 0.25rem 1rem 0.25rem 0; }
  img { max-width: 12rem; max-height: 12rem; display: block; margin: 0.5rem 0; }
</style>
<main>
<h1>Hub-Pathway</h1>
<section aria-labelledby="try">
<h2 id="try">Try an image</h2>
<form>
  <label>Image <input type="file" name="image" accept="image/*" required></label>
  <label>Model <select name="model"></select></label>
  <label>Members <input type="number" name="k" min="1" placeholder="as trained"></label>
  <label>FLOPs <input type="number" name="flops" min="1" step="any" placeholder="any"></label>
  <label>Sure enough at <input type="number" name="confidence" min="0.01" max="1" step="any" placeholder="never"></label>
  <label>Token <input type="password" name="token" autocomplete="off"></label>
  <button>Predict</button>
</form>
<img alt="" hidden>
<pre role="status" aria-live="polite">No image yet.</pre>
</section>
<section aria-labelledby="routes"><h2 id="routes">Routes</h2><p>As data: <a href="openapi.json">openapi.json</a></p><div id="list"></div></section>
</main>
<script type="module">
  const form = document.querySelector("form");
  const status = document.querySelector("[role=status]");
  const picture = document.querySelector("img");
  const headers = () => (form.token.value ? { authorization: "Bearer " + form.token.value } : {});
  async function loadModels() {
    const answer = await fetch("models", { headers: headers() });
    if (!answer.ok) return;
    const { models } = await answer.json();
    form.model.replaceChildren(...models.map(({ name }) => new Option(name)));
  }
  form.token.addEventListener("change", loadModels);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const query = new URLSearchParams({ top: "5", explain: "1" });
    if (form.model.value) query.set("model", form.model.value);
    for (const name of ["k", "flops", "confidence"]) if (form[name].value) query.set(name, form[name].value);
    const [file] = form.image.files;
    picture.src = URL.createObjectURL(file);
    picture.hidden = false;
    status.textContent = "…";
    try {
      const type = file.type || "application/octet-stream";
      const answer = await fetch("predict?" + query, { method: "POST", body: file, headers: { "content-type": type, ...headers() } });
      status.textContent = JSON.stringify(await answer.json(), null, 2);
    } catch (error) {
      status.textContent = String(error);
    }
  });
  const element = (name, text, ...children) => {
    const made = document.createElement(name);
    made.append(text, ...children);
    return made;
  };
  const { paths } = await (await fetch("openapi.json")).json();
  const list = document.querySelector("#list");
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, about] of Object.entries(methods)) {
      const title = element("summary", "", element("code", method.toUpperCase() + " " + path), " " + (about.summary ?? ""));
      const more = { parameters: about.parameters, requestBody: about.requestBody, responses: about.responses };
      list.append(element("details", title, element("pre", JSON.stringify(more, null, 2))));
    }
  }
  await loadModels();
</script>
</html>
`;
