/* What the book's own pictures and quiz do when JavaScript is there; without it everything can be read. No library. */
document.addEventListener("DOMContentLoaded", () => {
  // What the theme leaves open for who reads by ear or by keyboard.
  for (const button of document.querySelectorAll(".search-button-field")) {
    const text = button.textContent.replace(/\s+/g, " ").trim();
    if (text && !(button.getAttribute("aria-label") || "").includes(text)) button.setAttribute("aria-label", text);
  }
  for (const icon of document.querySelectorAll(".theme-switch-button i")) {
    icon.setAttribute("aria-hidden", "true");
    icon.removeAttribute("title");
  }
  for (const entry of document.querySelectorAll("[role=doc-biblioentry], .citation-list[role=list]")) entry.removeAttribute("role");
  for (const box of document.querySelectorAll(".cell_output .output, .cell_output .text_html > div, .highlight pre"))
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  // Tables written in Markdown stand one row below the other on a phone, as the generated ones do.
  for (const whole of document.querySelectorAll(".bd-article table.table:not(.modts-decide)")) {
    const heads = [...whole.querySelectorAll("thead th")].map(cell => cell.textContent.trim());
    if (!heads.length || whole.closest(".cell_output")) continue;
    for (const row of whole.querySelectorAll("tbody tr")) [...row.children].forEach((cell, i) => { if (i) cell.dataset.label = heads[i]; });
    whole.classList.add("modts-lines");
  }
  for (const quiz of document.querySelectorAll(".modts-quiz")) {
    const all = [...quiz.querySelectorAll("fieldset")];
    quiz.addEventListener("change", event => {
      const set = event.target.closest("fieldset"), right = event.target.value === set.dataset.right;
      set.dataset.said = right ? "right" : "wrong";
      set.querySelector(".said").textContent = right ? "Right." : "Not quite. Try again, or open the answer.";
      const done = all.filter(one => one.dataset.said).length, good = all.filter(one => one.dataset.said === "right").length;
      quiz.querySelector(".total").textContent = `${good} right of ${done} answered, ${all.length} in all.`;
    });
  }
});
