"use strict";
// Updates the page in place: a reload would lose the scroll position and unsent form input.
// Without scripts, the meta element in <noscript> reloads the page instead.
(() => {
  const { refresh: interval, parts } = document.querySelector("main").dataset;
  const seconds = Number(interval);
  const notice = document.getElementById("notice");
  const asOf = () => {
    // The page of an image that is not watched has no data.
    const time = document.querySelector(".now time");
    return time ? ` Data is as of ${time.textContent}.` : "";
  };

  const replaceElement = (newDocument, id) => {
    const oldElement = document.getElementById(id);
    const newElement = newDocument.getElementById(id);
    if (oldElement.innerHTML === newElement.innerHTML) return;
    const active = document.activeElement;
    const focusedId = oldElement.contains(active) ? active.closest("[id]")?.id : null;
    const scroller = oldElement.querySelector(".scroll");
    for (const details of oldElement.querySelectorAll("details")) {
      const newDetails = newDocument.getElementById(details.id);
      if (newDetails) newDetails.open = details.open;
    }
    oldElement.replaceChildren(...newElement.childNodes);
    if (scroller) oldElement.querySelector(".scroll").scrollLeft = scroller.scrollLeft;
    if (focusedId) document.getElementById(focusedId)?.focus({ preventScroll: true });
  };

  const setNotice = (text) => {
    if (notice.textContent !== text) notice.textContent = text;
    notice.hidden = !text;
  };

  const refresh = async () => {
    if (document.hidden) return;
    if (document.getSelection().type === "Range") {
      // The reader is about to copy the selected text.
      setNotice(`Refresh is paused while text is selected.${asOf()}`);
      return;
    }
    try {
      const signal = AbortSignal.timeout(seconds * 1000);
      const response = await fetch(location.href, { cache: "no-store", signal });
      const newDocument = new DOMParser().parseFromString(await response.text(), "text/html");
      // The error page of a proxy has none of these elements, so this throws.
      for (const id of parts.split(" ")) replaceElement(newDocument, id);
      document.title = newDocument.title;
      document.getElementById("icon").href = newDocument.getElementById("icon").href;
      setNotice("");
    } catch {
      setNotice(`The exporter does not respond.${asOf()}`);
    }
  };

  const refreshForever = async () => {
    await refresh();
    setTimeout(refreshForever, seconds * 1000);
  };

  const copy = async ({ target: button }) => {
    if (!button.matches(".copy + button")) return;
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  };

  // Browsers have no clipboard on pages that are neither encrypted nor local.
  if (navigator.clipboard) {
    document.documentElement.classList.add("can-copy");
    document.addEventListener("click", copy);
  }

  if (seconds) {
    setTimeout(refreshForever, seconds * 1000);
    document.addEventListener("visibilitychange", refresh);
  }
})();
