/**
 * A small web server that labels the images which are sent to it. Bytes go straight to the predictor; nothing is written.
 *
 *   npx tsx examples/predict-from-a-buffer.ts runs/photos [port]
 *   curl --data-binary @some.jpg localhost:8080
 *
 * Images may be PNG, JPEG, WebP, GIF, AVIF, TIFF or SVG.
 */
import { createServer, type IncomingMessage } from "node:http";
import { Predictor, UserError } from "hub-pathway";

const [run, port = "8080"] = process.argv.slice(2);
if (!run) throw new Error("which run? npx tsx examples/predict-from-a-buffer.ts runs/photos");

const largest = 20e6;

/** The body of a request. */
async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of request) {
    length += piece.length;
    if (length > largest) throw new UserError(`the image has more than ${largest} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

// Loading takes longest: open the run once, and predict with it as often as needed.
const predictor = await Predictor.open(run);

/** The answer to one request: a label with the three most probable classes, or what is wrong with the image. */
async function answer(request: IncomingMessage): Promise<[status: number, body: object]> {
  try {
    return [200, await predictor.predict(await bodyOf(request), { top: 3 })];
  } catch (error) {
    if (error instanceof UserError) return [400, { error: error.message }];
    throw error;
  }
}

const server = createServer(async (request, response) => {
  const [status, body] = await answer(request);
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
});

server.listen(Number(port), () => {
  const address = server.address();
  const at = typeof address === "object" ? address?.port : address;
  console.log(`${predictor.classes.join(", ")}: send an image to http://localhost:${at}`);
});

// Tensors are released when the server ends, not when the garbage collector finds them.
process.on("SIGTERM", () => server.close(() => predictor.dispose()));
