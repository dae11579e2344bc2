// @ts-check
/**
 * What the owner of the machine should know once they are signed in: that the root password was
 * replaced at its console, until they say that they have seen it; and the chart of a boot, if one
 * was made. Somebody without the rights to ask is told neither.
 */
import { bytesOf, CallError, call } from "./call.js";
import { byId, say } from "./dom.js";

/** @param {number | null} at */
function showRecovered(at) {
  byId("recovered", HTMLElement).hidden = at === null;
  if (at === null) return;
  const when = new Date(at).toLocaleString();
  const text = `The root password was replaced at the machine's console: ${when}. Every session and token ended with it.`;
  say(byId("recovered-text", HTMLElement), text);
}

async function showChart() {
  const [last] = await call("proc.chart.ls");
  byId("chart", HTMLElement).hidden = last === undefined;
  if (last === undefined) return;
  const reader = new FileReader();
  reader.addEventListener("load", () => {
    byId("chart-image", HTMLImageElement).src = String(reader.result);
  });
  reader.readAsDataURL(await bytesOf("proc.chart.show"));
}

/** Asks, and shows what there is. */
export async function showNotices() {
  try {
    showRecovered((await call("security.owner")).recoveredAt);
    await showChart();
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
  }
}

byId("recovered-seen", HTMLButtonElement).addEventListener("click", async () => {
  await call("security.acknowledge");
  showRecovered(null);
});
