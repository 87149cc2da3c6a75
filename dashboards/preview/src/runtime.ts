// The services that a Grafana server provides to panels, as far as drawing needs them.
import {
  booleanOverrideProcessor, createTheme, dataLinksOverrideProcessor, displayNameOverrideProcessor, EventBusSrv,
  FieldColorModeId, GrafanaTheme2, identityOverrideProcessor, LoadingState, numberOverrideProcessor,
  standardEditorsRegistry, standardFieldConfigEditorRegistry, standardTransformers, standardTransformersRegistry,
  stringOverrideProcessor, thresholdsOverrideProcessor, unitOverrideProcessor, valueMappingsOverrideProcessor,
} from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import * as runtime from '@grafana/runtime';
import { sceneGraph } from '@grafana/scenes';
import { of } from 'rxjs';
import { catchError, map } from 'rxjs/operators';
import { Prometheus } from './datasource';

const none: any = () => null;

const EDITORS = [
  'text', 'number', 'slider', 'boolean', 'select', 'unit', 'links', 'actions', 'stats-picker', 'strings', 'color',
  'statsPicker', 'timezone', 'fieldColor', 'thresholds', 'mappings', 'multi-select', 'radio', 'field-name',
  'dashboard-uid',
];
const THRESHOLDS = { mode: 'absolute', steps: [{ value: -Infinity, color: 'green' }, { value: 80, color: 'red' }] };
const OPTIONS: [string, any, object?][] = [
  ['unit', unitOverrideProcessor],
  ['min', numberOverrideProcessor],
  ['max', numberOverrideProcessor],
  ['fieldMinMax', booleanOverrideProcessor],
  ['decimals', numberOverrideProcessor],
  ['displayName', displayNameOverrideProcessor],
  ['noValue', stringOverrideProcessor],
  ['filterable', booleanOverrideProcessor],
  ['actions', identityOverrideProcessor],
  ['links', dataLinksOverrideProcessor],
  ['color', identityOverrideProcessor, { defaultValue: { mode: FieldColorModeId.Thresholds } }],
  ['mappings', valueMappingsOverrideProcessor, { defaultValue: [] }],
  ['thresholds', thresholdsOverrideProcessor, { defaultValue: THRESHOLDS }],
];

export async function start(mode: 'light' | 'dark'): Promise<{ theme: GrafanaTheme2; source: Prometheus }> {
  const theme = createTheme({ colors: { mode } });
  const source = new Prometheus();
  const config: any = runtime.config;
  Object.assign(config, {
    theme2: theme,
    theme: theme.v1,
    bootData: { user: { timezone: 'utc', weekStart: '', locale: 'en-US', language: 'en-US' }, settings: {} },
    featureToggles: {},
    datasources: {},
    panels: {},
    minRefreshInterval: '5s',
  });
  await initPluginTranslations('grafana').catch(none);
  runtime.setAppEvents(new EventBusSrv() as any);
  runtime.setEchoSrv({ addEvent: none, flush: none, addBackend: none } as any);
  runtime.setPluginLinksHook(() => ({ isLoading: false, links: [] }));
  runtime.setPluginImportUtils({
    importPanelPlugin: async () => Promise.reject(new Error('there are no other panels here')),
    getPanelPluginFromCache: () => undefined,
  } as any);
  offer(source);
  fill();
  return { theme, source };
}

function offer(source: Prometheus) {
  const instance: any = { name: 'Prometheus', uid: source.uid, type: source.type, isDefault: true, meta: source.meta };
  runtime.setDataSourceSrv({
    get: async () => source as any,
    getList: (filter: any = {}) => (!filter.pluginId || filter.pluginId === source.type ? [instance] : []),
    getInstanceSettings: () => instance,
    reload: none,
  } as any);
  runtime.setTemplateSrv({
    getVariables: () => [],
    containsTemplate: (text: string) => /\$/.test(text ?? ''),
    updateTimeRange: none,
    replace: (text: string, scoped: any, format: any) => {
      const scene = scoped?.__sceneObject?.value?.valueOf?.();
      return scene ? sceneGraph.interpolate(scene, text, scoped, format) : text;
    },
  } as any);
  runtime.setRunRequest(((asked: any, request: any) =>
    asked.query(request).pipe(
      map((answer: any) => ({ ...answer, series: answer.data, timeRange: request.range, request })),
      catchError((error: any) =>
        of({ state: LoadingState.Error, series: [], error: { message: error.message }, timeRange: request.range })
      )
    )) as any);
}

function fill() {
  standardFieldConfigEditorRegistry.setInit(() =>
    OPTIONS.map(([id, process, more]) => ({
      id, path: id, name: id, description: '', editor: none, override: none, process, shouldApply: () => true,
      settings: {}, category: [], ...more,
    })) as any
  );
  standardEditorsRegistry.setInit(() => EDITORS.map((id) => ({ id, name: id, editor: none })) as any);
  const transformers = new Map(Object.values(standardTransformers).map((each: any) => [each.id, each]));
  standardTransformersRegistry.setInit(() =>
    [...transformers.values()].map((each: any) => ({ id: each.id, name: each.name, transformation: each, editor: none })) as any
  );
}
