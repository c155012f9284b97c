"use strict";
(() => {
  const moment = document.getElementById("moment");
  if (moment) {
    const steps = document.querySelector(".scrub").dataset.steps.split(",");
    const play = document.getElementById("play");
    const pictures = [...document.querySelectorAll("img[data-moment]")];
    let timer = null;
    const show = () => {
      document.getElementById("step").value = "step " + steps[moment.value];
      for (const picture of pictures) picture.hidden = picture.dataset.moment !== moment.value;
    };
    const stop = () => { clearInterval(timer); timer = null; play.textContent = "\u25b6"; play.setAttribute("aria-label", "play"); };
    moment.addEventListener("input", () => { stop(); show(); });
    play.addEventListener("click", () => {
      if (timer) return stop();
      if (moment.value === moment.max) moment.value = 0;
      show();
      play.textContent = "\u275a\u275a";
      play.setAttribute("aria-label", "pause");
      timer = setInterval(() => {
        if (moment.value === moment.max) return stop();
        moment.value = Number(moment.value) + 1;
        show();
      }, 500);
    });
    show();
  }
  for (const chart of document.querySelectorAll(".chart")) {
    const svg = chart.querySelector("svg");
    for (const button of chart.querySelectorAll("button[data-line]")) {
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", on);
        chart.querySelector(`.line[data-name="${button.dataset.line}"]`).classList.toggle("off", !on);
      });
    }
    const make = (name) => svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", name));
    const cursor = make("line"), text = make("text");
    cursor.setAttribute("class", "cursor");
    text.setAttribute("class", "readout");
    cursor.setAttribute("y1", 10);
    cursor.setAttribute("y2", 214);
    const hide = () => { cursor.style.display = text.style.display = "none"; };
    hide();
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * 560;
      if (x < 56 || x > 548) return hide();
      const first = Number(svg.dataset.first), last = Number(svg.dataset.last);
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      text.textContent = "step " + Math.round(first + (x - 56) / 492 * (last - first));
      text.setAttribute("x", x > 470 ? x - 6 : x + 6);
      text.setAttribute("y", 20);
      text.setAttribute("text-anchor", x > 470 ? "end" : "start");
      cursor.style.display = text.style.display = "";
    });
  }
})();
