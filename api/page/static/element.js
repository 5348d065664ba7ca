/**
 * Make an element. Names with a dash are attributes, the others DOM properties. Strings among the
 * children become text nodes, so whatever a document or a model says stays text; null is left out.
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-")) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Set an element's text where it differs: unchanged text keeps its selection and stays unannounced. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Make a button that cannot be pressed again before what it started has ended. */
export function actionButton(label, action, className = "button") {
  const button = element("button", { type: "button", className }, label);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await action();
    } finally {
      button.disabled = false;
    }
  });
  return button;
}
