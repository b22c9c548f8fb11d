/** How clips are cut, as the fields of `_cut_options.html` say it. */

/** What a form asks for, as the server takes it. */
export function cutOptions(form) {
  const data = new FormData(form); // without what is disabled
  const number = (name) => (data.get(name) ? Number(data.get(name)) : null);
  const [codec, format] = data.get("file").split("/");
  return {
    codec, format, crop: data.get("crop"), size: number("size"), aspect: data.get("aspect"), handles: number("handles"),
    whole_shots: data.has("whole_shots"), export: data.getAll("export"),
  };
}

/** Calls `onChange` with the name of each field that changes, after those that it rules out are disabled. */
export function watchCutOptions(form, onChange = () => {}) {
  const { crop, size, aspect, file, handles, whole_shots: wholeShots } = form.elements;
  const rule = () => {
    const copied = file.value === "copy/"; // the picture stays as it is
    crop.disabled = copied;
    aspect.disabled = copied;
    size.disabled = copied || (crop.value === "none" && !aspect.value); // the whole picture stays as large as it is
    handles.disabled = wholeShots.checked;
  };
  form.addEventListener("change", (event) => {
    rule();
    onChange(event.target.name);
  });
  rule(); // a browser that comes back to a page remembers what was chosen
}
