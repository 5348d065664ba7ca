/**
 * Call `give(files, folders)` with the files that are chosen in `input` or dropped anywhere on the
 * page, and the number of folders among what was dropped. `target` gets the class "over" meanwhile.
 */
export function takeFiles(input, target, give) {
  input.addEventListener("change", () => {
    give([...input.files], 0);
    // Emptied, so that the same file may be chosen again.
    input.value = "";
  });
  const carriesFiles = (event) => event.dataTransfer.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    // Otherwise the browser would leave the page and open the file.
    event.preventDefault();
    target.classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) target.classList.remove("over");
  });
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    target.classList.remove("over");
    const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    const files = items.filter((item) => !item.webkitGetAsEntry()?.isDirectory);
    give(files.map((item) => item.getAsFile()), items.length - files.length);
  });
}
