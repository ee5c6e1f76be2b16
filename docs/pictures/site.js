// Missing in the theme for readers with a keyboard or a screen reader: code and tables that are
// wider than the page scroll with the arrow keys, and the buttons of a code block are no navigation.
(() => {
  const complete = () => {
    for (const area of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code")) {
      if (area.scrollWidth > area.clientWidth) area.tabIndex = 0;
      else area.removeAttribute("tabindex");
    }
    for (const table of document.querySelectorAll(".md-typeset__scrollwrap")) {
      table.setAttribute("role", "group");
      table.setAttribute("aria-label", "Table");
    }
    for (const buttons of document.querySelectorAll("nav.md-code__nav")) {
      buttons.setAttribute("role", "group");
      buttons.setAttribute("aria-label", "Code");
    }
  };
  const content = document.querySelector(".md-content");
  new MutationObserver(complete).observe(content, {childList: true, subtree: true});
  new ResizeObserver(complete).observe(content);
})();
