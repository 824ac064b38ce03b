/* What the book's own pictures and quiz do when JavaScript is there; without it everything can be read. No library. */
document.addEventListener("DOMContentLoaded", () => {
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
