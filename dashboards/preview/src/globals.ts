// Grafana's packages read these globals on import, so this module must be imported first.
const page: any = window;

page.grafanaBootData = {
  user: { locale: 'en-US', language: 'en-US', timezone: 'utc' },
  settings: {
    buildInfo: { version: GRAFANA_VERSION, env: 'production' },
    featureToggles: {},
    datasources: {},
    panels: {},
    apps: {},
  },
  navTree: [],
  themePaths: { light: '', dark: '' },
};
page.process ??= { env: { NODE_ENV: 'production' } };
page.global ??= page;

declare const GRAFANA_VERSION: string;
export {};
