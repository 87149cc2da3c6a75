"use strict";
// Shows what has changed without loading the page anew, which would take away the reader's place,
// and what they are about to type. Without this script the page loads itself anew instead.
(() => {
  const seconds = Number(document.querySelector("main").dataset.refresh);
  const news = document.getElementById("news");
  const shown = () => document.querySelector(".now time").textContent;

  const replace = (fresh, id) => {
    const old = document.getElementById(id);
    const made = fresh.getElementById(id);
    if (old.innerHTML === made.innerHTML) return;
    const active = document.activeElement;
    const focused = old.contains(active) ? active.closest("[id]")?.id : null;
    const region = old.querySelector(".scroll");
    for (const each of old.querySelectorAll("details")) {
      const same = fresh.getElementById(each.id);
      if (same) same.open = each.open;
    }
    old.replaceChildren(...made.childNodes);
    if (region) old.querySelector(".scroll").scrollLeft = region.scrollLeft;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  };

  const tell = (text) => {
    if (news.textContent !== text) news.textContent = text;
    news.hidden = !text;
  };

  const refresh = async () => {
    if (document.hidden) return;
    if (document.getSelection().type === "Range") {
      // Whoever selects text is about to copy it.
      tell(`Not refreshed while text is selected. What is shown is as of ${shown()}.`);
      return;
    }
    try {
      const signal = AbortSignal.timeout(seconds * 1000);
      const answer = await fetch(location.href, { cache: "no-store", signal });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      // Whatever else answers has none of these.
      for (const id of ["verdict", "overview", "images"]) replace(fresh, id);
      document.title = fresh.title;
      document.getElementById("icon").href = fresh.getElementById("icon").href;
      tell("");
    } catch {
      tell(`The exporter does not answer. What is shown is as of ${shown()}.`);
    }
  };

  const forever = async () => {
    await refresh();
    setTimeout(forever, seconds * 1000);
  };

  if (seconds) {
    setTimeout(forever, seconds * 1000);
    document.addEventListener("visibilitychange", refresh);
  }
})();
