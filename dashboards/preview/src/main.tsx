// Renders one dashboard from its JSON, without a Grafana server.
import './globals';
import React from 'react';
import { createRoot } from 'react-dom/client';
import { MemoryRouter } from 'react-router-dom';
import { ThemeContext } from '@grafana/data';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import {
  CustomVariable, DataSourceVariable, EmbeddedScene, QueryVariable, sceneGraph, SceneControlsSpacer, SceneDataTransformer,
  SceneGridItem, SceneGridLayout, SceneGridRow, SceneQueryRunner, SceneTimePicker, SceneTimeRange,
  SceneVariableSet, TextBoxVariable, VariableValueSelectors, VizPanel,
} from '@grafana/scenes';
import { asked, Prometheus } from './datasource';
import { isDrawn, register } from './panels';
import { start } from './runtime';

const chosen = new URLSearchParams(location.search);
const page: any = window;
const report: any = { done: false, asked };
page.report = report;

function variable(given: any, source: Prometheus): any {
  const common = { name: given.name, label: given.label, hide: given.hide ?? 0, description: given.description };
  if (given.type === 'datasource') {
    return new DataSourceVariable({ ...common, pluginId: given.query, value: source.uid, text: source.name });
  }
  const value = chosen.get(`var-${given.name}`);
  if (given.type === 'textbox') return new TextBoxVariable({ ...common, value: value ?? given.query });
  if (given.type === 'custom') {
    const one = value ?? given.current.value;
    return new CustomVariable({ ...common, query: given.query, value: one, text: one });
  }
  return new QueryVariable({
    ...common,
    query: given.query,
    datasource: given.datasource,
    refresh: given.refresh,
    regex: given.regex ?? '',
    sort: given.sort ?? 0,
    isMulti: !!given.multi,
    includeAll: !!given.includeAll,
    allValue: given.allValue || undefined,
    ...(value ? { value, text: value } : given.includeAll && { value: '$__all', text: 'All' }),
  });
}

function panel(given: any): SceneGridItem {
  const queries = new SceneQueryRunner({
    datasource: given.datasource,
    queries: given.targets,
    minInterval: given.interval,
    maxDataPoints: given.maxDataPoints,
  });
  const body = new VizPanel({
    key: `panel-${given.id}`,
    title: given.title,
    description: given.description,
    pluginId: given.type,
    options: given.options ?? {},
    fieldConfig: { defaults: {}, overrides: [], ...given.fieldConfig },
    $data: new SceneDataTransformer({ $data: queries, transformations: given.transformations ?? [] }),
  });
  const { x, y, w: width, h: height } = given.gridPos;
  return new SceneGridItem({ x, y, width, height, isDraggable: false, isResizable: false, body });
}

function layout(panels: any[]): SceneGridLayout {
  const children: any[] = [];
  let row: SceneGridRow | undefined;
  for (const each of panels) {
    if (each.type === 'row') {
      row = new SceneGridRow({ key: `row-${each.id}`, title: each.title, y: each.gridPos.y, isCollapsed: false, children: [] });
      children.push(row);
    } else if (row) row.setState({ children: [...row.state.children, panel(each)] });
    else children.push(panel(each));
  }
  return new SceneGridLayout({ children, isLazy: false });
}

function states(scene: EmbeddedScene) {
  const panels = sceneGraph.findAllObjects(scene, (each) => each instanceof VizPanel) as VizPanel[];
  return panels.map((each) => {
    const data: any = sceneGraph.getData(each).state.data;
    const series = data?.series ?? [];
    return {
      title: each.state.title,
      kind: each.state.pluginId,
      drawn: isDrawn(each.state.pluginId),
      state: data?.state ?? 'NotStarted',
      rows: series.reduce((rows: number, frame: any) => rows + frame.length, 0),
      error: data?.error?.message ?? data?.errors?.[0]?.message ?? (each.state as any)._pluginLoadError,
    };
  });
}

// True once every panel has its data and is drawn; a table draws its rows after its data arrived.
function settled(panels: any[]) {
  const tables = panels.filter((each) => each.kind === 'table' && each.rows).length;
  const drawn = [...document.querySelectorAll('[role=grid]')].filter((each) => each.querySelector('[role=gridcell]'));
  const headers = document.querySelectorAll('[data-testid^="data-testid Panel header"]');
  return (
    panels.length > 0 &&
    panels.every((each) => ['Done', 'Error'].includes(each.state)) &&
    headers.length >= panels.length &&
    drawn.length >= tables
  );
}

async function main() {
  const { theme, source } = await start(chosen.get('theme') === 'light' ? 'light' : 'dark');
  const dashboard = await (await fetch('/dashboard.json')).json();
  register();
  const scene = new EmbeddedScene({
    $timeRange: new SceneTimeRange({ from: chosen.get('from') ?? dashboard.time.from, to: 'now', timeZone: 'utc' }),
    $variables: new SceneVariableSet({
      variables: dashboard.templating.list.map((each: any) => variable(each, source)),
    }),
    controls: [new VariableValueSelectors({}), new SceneControlsSpacer(), new SceneTimePicker({})],
    body: layout(dashboard.panels),
  });
  createRoot(document.getElementById('root')!).render(
    <ThemeContext.Provider value={theme}>
      <MemoryRouter>
        <GlobalStyles />
        <div style={{ padding: 16, background: theme.colors.background.canvas }}>
          <h2 style={{ margin: '0 0 8px' }}>{dashboard.title}</h2>
          <scene.Component model={scene} />
        </div>
        <PortalContainer />
      </MemoryRouter>
    </ThemeContext.Provider>
  );
  const look = () => {
    report.panels = states(scene);
    if (settled(report.panels)) setTimeout(() => (report.done = true), 1000);
    else setTimeout(look, 200);
  };
  setTimeout(look, 1000);
}

main().catch((error) => {
  report.fatal = String(error.stack ?? error);
  report.done = true;
});
