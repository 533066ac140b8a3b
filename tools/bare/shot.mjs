// shot.mjs: a picture of the page after a photo was given to it.
//
//   node tools/bare/shot.mjs ADDRESS PHOTO OUT.png
//
// Fails if nothing is found or the page complains. Uses the page tests' own
// Playwright (scripts/setup --tests) and SOSIE_CHROMIUM or Debian's Chromium.
import { createRequire } from "node:module";

const { chromium } = createRequire(new URL("../../web/package.json", import.meta.url))("playwright-core");
const [address, photo, out] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.SOSIE_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });
const complaints = [];
page.on("pageerror", (error) => complaints.push(String(error)));
await page.goto(address);
const chooser = page.waitForEvent("filechooser");
await page.getByRole("button", { name: "Choose a photo" }).click();
await (await chooser).setFiles(photo);
await page.locator("main ol > li").first().waitFor();
await page.waitForLoadState("networkidle");
await page.screenshot({ path: out });
await browser.close();
if (complaints.length > 0) throw new Error(complaints.join("\n"));
