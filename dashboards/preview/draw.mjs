// node draw.mjs DASHBOARD.json PICTURE.png PROMETHEUS_URL [KEY=VALUE ...]
//
// Draws one dashboard in Chromium. The keys: theme (dark, light), from (now-15m), width (1600), height
// (of the picture; default: the whole page), var-NAME. CHROMIUM is the path of the browser. Prints the
// contents of each panel; exits with status 1 if a panel has an error or cannot be drawn.
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const [dashboard, picture, prometheus, ...given] = process.argv.slice(2);
const keys = new URLSearchParams(given.map((each) => [each.split('=')[0], each.slice(each.indexOf('=') + 1)]));
const dist = join(dirname(fileURLToPath(import.meta.url)), 'dist');
const KINDS = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };
// Icons would come from a Grafana server, which does not exist here.
const NO_ICON = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"></svg>';

async function answer(path, search, request) {
  if (path.startsWith('/prometheus/')) {
    const { method, headers } = request;
    const body = method === 'POST' ? await text(request) : undefined;
    const sent = body && { method, body, headers: { 'content-type': headers['content-type'] } };
    const found = await fetch(prometheus + path.slice('/prometheus'.length) + search, sent);
    return [found.status, 'application/json', await found.text()];
  }
  if (path === '/dashboard.json') return [200, 'application/json', readFileSync(dashboard)];
  if (extname(path) === '.svg') return [200, 'image/svg+xml', NO_ICON];
  const file = join(dist, path === '/' ? 'index.html' : path);
  if (!file.startsWith(dist) || !existsSync(file)) return [404, 'text/plain', ''];
  return [200, KINDS[extname(file)] ?? 'application/octet-stream', readFileSync(file)];
}

const server = createServer(async (request, response) => {
  const { pathname, search } = new URL(request.url, 'http://localhost');
  try {
    const [status, kind, body] = await answer(pathname, search, request);
    response.writeHead(status, { 'content-type': kind }).end(body);
  } catch (error) {
    const body = JSON.stringify({ status: 'error', errorType: 'preview', error: String(error) });
    response.writeHead(502, { 'content-type': 'application/json' }).end(body);
  }
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
});
const width = Number(keys.get('width') ?? 1600);
const page = await browser.newPage({ viewport: { width, height: 1000 } });
const said = [];
page.on('pageerror', (error) => said.push(String(error.stack ?? error)));
page.setDefaultTimeout(300000);  // Thousands of series take a while on a busy machine.
await page.goto(`http://127.0.0.1:${server.address().port}/?${keys}`);
await page.waitForFunction(() => window.report?.done, null);
const report = await page.evaluate(() => ({ panels: window.report.panels, fatal: window.report.fatal }));
// Tables draw only the visible rows, so the window must be as high as the page.
const whole = await page.evaluate(() => document.documentElement.scrollHeight);
await page.setViewportSize({ width, height: Number(keys.get('height') ?? whole) });
await page.waitForTimeout(2000);
await page.screenshot({ path: picture });
await browser.close();
server.close();

const wrong = (panel) => panel.error ?? (panel.drawn ? undefined : `cannot draw ${panel.kind}`);
for (const panel of report.panels ?? []) {
  console.log(wrong(panel) ? 'ERROR  ' : panel.rows ? 'ok     ' : 'no data', panel.title, wrong(panel) ?? '');
}
for (const line of [report.fatal, ...said].filter(Boolean)) console.log('ERROR  ', line);
process.exitCode = report.fatal || said.length || report.panels.some(wrong) ? 1 : 0;
