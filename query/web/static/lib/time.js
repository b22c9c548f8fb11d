/** Times and amounts as all views write them. */

/** `1:02.5`, with the hours where there are any. */
export function clock(seconds, digits = 1) {
  const scale = 10 ** digits;
  const ticks = Math.round(seconds * scale);
  const rest = (ticks % (60 * scale)) / scale;
  const minutes = Math.floor(ticks / (60 * scale)) % 60;
  const hours = Math.floor(ticks / (3600 * scale));
  const tail = rest.toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

/** How long something lasts: `2.7 s`, `3 min 4 s`, `2 h 5 min`. */
export function lasting(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** `1 match`, `12 matches`. */
export const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
