// Bundles src/ and Grafana's packages into dist/, a self-contained page.
import { build } from 'esbuild';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';

const version = JSON.parse(readFileSync('node_modules/@grafana/ui/package.json')).version;

// Scenes imports a default that this version of the schema package does not export.
const missing = {
  name: 'missing',
  setup(bundle) {
    const filter = /schema\/dist\/esm\/raw\/composable\/table\/panelcfg\/x\/types\.gen\.mjs$/;
    bundle.onLoad({ filter }, ({ path }) => ({
      contents: `${readFileSync(path, 'utf8')}\nexport const defaultOptions = {};\n`,
      loader: 'js',
    }));
  },
};

const nothing = './src/nothing.cjs';
const asText = Object.fromEntries(['.svg'].map((each) => [each, 'text']));
const inside = Object.fromEntries(['.woff2', '.woff', '.ttf', '.png'].map((each) => [each, 'dataurl']));

mkdirSync('dist', { recursive: true });
await build({
  entryPoints: ['src/main.tsx'],
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  target: 'chrome120',
  jsx: 'automatic',
  platform: 'browser',
  mainFields: ['browser', 'module', 'main'],
  conditions: ['module', 'import', 'browser'],
  alias: { tty: nothing, util: nothing, stream: nothing, 'react-router-dom-v5-compat': 'react-router-dom' },
  plugins: [missing],
  define: {
    'process.env.NODE_ENV': '"production"',
    global: 'window',
    GRAFANA_VERSION: JSON.stringify(version),
    SCRAPE_INTERVAL: JSON.stringify(process.env.SCRAPE_INTERVAL ?? '30s'),
  },
  loader: { ...asText, ...inside },
  logLevel: 'error',
});
writeFileSync(
  'dist/index.html',
  '<!doctype html><meta charset=utf-8><title>preview</title><link rel=stylesheet href=/main.css>' +
    '<style>html,body{margin:0}</style><div id=root></div><script type=module src=/main.js></script>'
);
