// The page works without this: it only keeps the curl line in step with the form, and copies it.
"use strict";

const form = document.getElementById("trade-form");
const line = document.getElementById("curl");
const copy = document.getElementById("curl-copy");

const quote = (text) => `'${text.replaceAll("'", `'"'"'`)}'`;

const writeCurl = () => {
  const body = {};
  for (const name of ["symbol", "side", "price", "qty", "ts"]) {
    const field = form.elements[name];
    const text = (field.value || "").trim();
    if (text) body[name] = text;
    else if (name !== "ts") body[name] = field.placeholder ?? "";
  }
  line.textContent = `curl ${quote(form.action)} -H 'Content-Type: application/json' -d ${quote(JSON.stringify(body))}`;
};

form.addEventListener("input", writeCurl);
if (navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(line.textContent);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(line);
      copy.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 2000);
  });
}
