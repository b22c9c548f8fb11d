/** Requests to the server. Whatever fails throws an ApiError whose message can be shown. */

export class ApiError extends Error {
  constructor(message, kind, status, person = null) {
    super(message);
    this.person = person; // the id of whom to look at instead
    this.kind = kind;
    this.status = status;
  }
}

async function request(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer; is it still running?", "Offline", 0);
  }
  const text = await answer.text();
  let data = null;
  try {
    data = JSON.parse(text);
  } catch {
    // What the guard says comes as plain text.
  }
  if (!answer.ok) {
    const message = data?.error?.message || text.trim() || answer.statusText;
    throw new ApiError(message, data?.error?.kind ?? "Refused", answer.status, data?.error?.person ?? null);
  }
  return data;
}

export const get = (address, options) => request(address, options);

export const post = (address, body = {}, options = {}) =>
  request(address, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    ...options,
  });

/** Sends a file or blob as it is, under its own content type. */
export const upload = (address, blob, options = {}) =>
  request(address, { method: "POST", headers: { "Content-Type": blob.type }, body: blob, ...options });
