// Requests to the API and to storage, and their retries.
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { text as textOf } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";

export const ATTEMPTS = 5;
const TIMEOUT_MS = Number(process.env.ASSET_UPLOADS_TIMEOUT_MS) || 60_000;
/** Seconds. If Retry-After is longer, the example stops instead of waiting. */
const LONGEST_PAUSE = 60;
/** Statuses after which a retry may succeed, besides every 5xx. */
export const TRANSIENT = [408, 429];

/** Ends the upload with this message. `code` is the API's, and `assetId` is set if the upload was already confirmed. */
export class Failure extends Error {
  constructor(message, code, assetId) {
    super(message);
    this.code = code;
    this.assetId = assetId;
  }
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** Before the next attempt, in milliseconds. */
export const pauseAfter = (tried) => Math.random() * 500 * 2 ** tried;
export const isOk = ({ status }) => status >= 200 && status < 300;

/** Sends one request. Resolves with the complete response; an incomplete or late response is an error. */
export async function sendOnce(url, method, headers, body) {
  let request;
  try {
    request = (url.startsWith("https:") ? httpsRequest : httpRequest)(url, { method, headers });
  } catch (error) {
    throw new Failure(`the request cannot be made: ${error.message}`);
  }
  let timer;
  const answered = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came for ${TIMEOUT_MS / 1000} seconds`)), TIMEOUT_MS);
    request.on("error", reject);
    request.on("response", (response) => {
      const { statusCode: status, headers } = response;
      textOf(response).then((text) => resolve({ status, headers, text }), reject);
    });
    const refreshing = async function* (chunks) {
      for await (const chunk of chunks) {
        timer.refresh();
        yield chunk;
      }
    };
    pipeline(body, refreshing, request).catch(reject);
  });
  return answered.finally(() => {
    clearTimeout(timer);
    request.destroy(); // The response may have arrived before the whole body was sent.
  });
}

/** Retries `attempt` if it gets no response or a transient error. All requests here are safe to repeat. */
export async function withRetries(who, attempt, transient = TRANSIENT) {
  for (let tried = 1; ; tried++) {
    let wait = pauseAfter(tried);
    try {
      const answer = await attempt();
      if ((answer.status < 500 && !transient.includes(answer.status)) || tried === ATTEMPTS) return answer;
      const asked = Number(answer.headers["retry-after"]);
      if (asked > LONGEST_PAUSE) throw new Failure(`${who} answered ${answer.status}; try again in ${asked} seconds`);
      if (asked > 0) wait = asked * 1000;
    } catch (error) {
      if (error instanceof Failure) throw error;
      if (tried === ATTEMPTS) throw new Failure(`${who} gave no whole answer in ${ATTEMPTS} attempts: ${error.message || error.code}`);
    }
    await pause(wait);
  }
}

/** Calls the API and returns the JSON of the response. All retries have the same Idempotency-Key, so a retry gets the result of an earlier request. */
export async function api(settings, method, path, body) {
  const content = body ? JSON.stringify(body) : "";
  const headers = { authorization: `Bearer ${settings.token}`, "user-agent": "asset-uploads-example" };
  if (body) Object.assign(headers, { "content-type": "application/json", "content-length": Buffer.byteLength(content), "idempotency-key": settings.intent });
  if (settings.organization) headers["x-organization-id"] = settings.organization;
  const answer = await withRetries(settings.url.origin, async () => {
    const answer = await sendOnce(new URL(path, settings.url).href, method, headers, body ? [content] : []);
    return isOk(answer) && answer.status !== 204 ? { ...answer, json: JSON.parse(answer.text) } : answer;
  });
  if (isOk(answer)) return answer.json;
  throw explain(settings, answer);
}

/** What the API's error says. A text that is no such error is an exception. */
export function failureOf(status, { code, message, errors }) {
  if (!code) throw new TypeError("not the API's envelope");
  const lines = (errors ?? []).map(({ loc, msg }) => `\n  ${loc.join(".")}: ${msg}`);
  const assetId = code === "ASSET_UPLOAD_ALREADY_CONFIRMED" ? errors?.[0]?.asset_id : undefined;
  return new Failure(`${status} ${code}: ${message}${lines.join("")}`, code, assetId);
}

function explain(settings, { status, text }) {
  try {
    return failureOf(status, JSON.parse(text));
  } catch {
    return unexpected(settings, `${status} and no error of this API`);
  }
}

export const unexpected = ({ url }, what) => new Failure(`${url.origin} answered ${what}: is this the Worker's address?`);

/** Why storage did not take something. */
export function refusal(what, { status, text }) {
  const [code, message] = ["Code", "Message"].map((name) => text.match(`<${name}>([^<]*)<`)?.[1]);
  return new Failure(`storage did not take ${what}: ${[status, code].join(" ").trim()}${message ? `: ${message}` : ""}`);
}
