// A data source that queries Prometheus like Grafana's, as far as these dashboards need it.
import {
  DataFrame, DataQueryRequest, FieldType, LoadingState, MetricFindValue, rangeUtil, ScopedVars, toDataFrame,
} from '@grafana/data';
import { sceneGraph } from '@grafana/scenes';
import { from, Observable } from 'rxjs';

declare const SCRAPE_INTERVAL: string;

export const asked: any[] = [];

const SPECIAL = /[$^*{}\[\]'+?.()|]/g;
const escaped = (value: string) => value.replace(/\\/g, '\\\\\\\\').replace(SPECIAL, '\\\\$&');
const quoted = (value: any) =>
  typeof value === 'string' ? value.replace(/\\/g, '\\\\').replace(/"/g, '\\"') : value;

function interpolated(value: any, variable: any) {
  if (!variable.multi && !variable.includeAll) return quoted(value);
  if (typeof value === 'string') return escaped(value);
  const values = value.map(escaped);
  return values.length === 1 ? values[0] : `(${values.join('|')})`;
}

const number = (text: string) =>
  text === 'NaN' ? NaN : text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text);

export class Prometheus {
  name = 'Prometheus';
  uid = 'prometheus';
  type = 'prometheus';
  id = 1;
  interval = SCRAPE_INTERVAL;
  meta: any = { id: 'prometheus', name: 'Prometheus', info: { logos: {} }, annotations: true, metrics: true };

  getRef() {
    return { type: this.type, uid: this.uid };
  }

  async metricFindQuery(query: any, options: any = {}): Promise<MetricFindValue[]> {
    const text = this.filled(typeof query === 'string' ? query : query?.query ?? '', options.scopedVars);
    const end = options.range?.to.unix() ?? Date.now() / 1000;
    const start = options.range?.from.unix() ?? end - 3600;
    asked.push({ variable: text });
    const labels = text.match(/^label_values\((.+),\s*(\w+)\)$/s);
    if (labels) {
      const found = await this.get(`label/${labels[2]}/values`, {
        'match[]': labels[1], start: String(start), end: String(end),
      });
      return found.map((value: string) => ({ text: value, value }));
    }
    const result = text.match(/^query_result\((.+)\)$/s);
    if (result) {
      const found = await this.get('query', { query: result[1], time: String(end) });
      return found.result.map((series: any) => ({
        text: `${selector(series.metric)} ${series.value[1]} ${series.value[0] * 1000}`,
      }));
    }
    throw new Error(`a variable's query that is not known here: ${text}`);
  }

  query(request: DataQueryRequest<any>): Observable<any> {
    return from(this.answer(request));
  }

  private async answer(request: DataQueryRequest<any>) {
    const data: DataFrame[] = [];
    const errors: any[] = [];
    const scrape = rangeUtil.intervalToSeconds(SCRAPE_INTERVAL);
    const start = request.range.from.unix();
    const end = request.range.to.unix();
    for (const target of request.targets.filter((each) => !each.hide && each.expr)) {
      const least = target.interval ? rangeUtil.intervalToSeconds(target.interval) : scrape;
      const step = Math.ceil(Math.max(request.intervalMs / 1000, least, (end - start) / 11000, 1));
      const rate = Math.max(step + least, 4 * least);
      const scoped: any = {
        ...request.scopedVars,
        __interval: variable(`${step}s`),
        __rate_interval: variable(`${rate}s`),
        __range: variable(`${Math.ceil(end - start)}s`),
      };
      const query = this.filled(target.expr, scoped);
      const entry: any = { panel: (request as any).panelName ?? request.panelId, refId: target.refId, query };
      asked.push(entry);
      try {
        if (target.instant) {
          const found = await this.get('query', { query, time: String(end) });
          const series = found.result.map((each: any) => ({ metric: each.metric, values: [each.value] }));
          data.push(...frames(series, target));
        } else {
          const first = Math.floor(start / step) * step;
          const last = Math.floor(end / step) * step;
          const found = await this.get('query_range', {
            query, start: String(first), end: String(last), step: String(step),
          });
          data.push(...frames(found.result, target, { first, last, step }));
        }
      } catch (error: any) {
        entry.error = error.message;
        errors.push({ message: error.message, refId: target.refId });
      }
    }
    const state = errors.length ? LoadingState.Error : LoadingState.Done;
    return { data, errors: errors.length ? errors : undefined, error: errors[0], state };
  }

  private filled(text: string, scoped: ScopedVars = {}) {
    const scene = (scoped.__sceneObject as any)?.value?.valueOf?.();
    return scene ? sceneGraph.interpolate(scene, text, scoped, interpolated as any) : text;
  }

  private async get(path: string, parameters: Record<string, string>) {
    const form = new URLSearchParams(parameters);
    const url = `/prometheus/api/v1/${path}`;
    // As in Grafana: a query may be too long for an address. Prometheus lists values of labels by GET only.
    const posted = { method: 'POST', body: form };
    const response = await (path.startsWith('query') ? fetch(url, posted) : fetch(`${url}?${form}`));
    const answer = await response.json();
    if (answer.status !== 'success') throw new Error(`${answer.errorType}: ${answer.error}`);
    return answer.data;
  }
}

const variable = (value: any) => ({ text: String(value), value });

function selector(metric: Record<string, string>) {
  const { __name__: name = '', ...labels } = metric;
  return `${name}{${Object.entries(labels).map(([key, value]) => `${key}="${value}"`).join(', ')}}`;
}

function legend(metric: Record<string, string>, target: any) {
  if (target.legendFormat === '__auto') return undefined;
  if (!target.legendFormat) return selector(metric);
  return target.legendFormat.replace(/\{\{\s*(.+?)\s*\}\}/g, (_: string, label: string) => metric[label] ?? '');
}

type Grid = { first: number; last: number; step: number };

function frames(found: any[], target: any, grid?: Grid): DataFrame[] {
  return target.format === 'table' ? tables(found, target) : found.map((series) => line(series, target, grid));
}

function tables(found: any[], target: any): DataFrame[] {
  if (!found.length) return [];
  const labels = [...new Set(found.flatMap((series) => Object.keys(series.metric)))].sort();
  const rows = found.flatMap((series) => series.values.map((value: any) => [series.metric, value]));
  const fields = [
    { name: 'Time', type: FieldType.time, values: rows.map(([, value]) => value[0] * 1000), config: {} },
    ...labels.map((label) => ({
      name: label,
      type: FieldType.string,
      values: rows.map(([metric]) => metric[label] ?? ''),
      config: { filterable: true },
    })),
    { name: 'Value', type: FieldType.number, values: rows.map(([, value]) => number(value[1])), config: {} },
  ];
  return [toDataFrame({ refId: target.refId, fields })];
}

function line(series: any, target: any, grid?: Grid): DataFrame {
  let times = series.values.map((each: any) => each[0] * 1000);
  let values = series.values.map((each: any) => number(each[1]));
  if (grid) {
    // A missing sample is a gap, as in Grafana.
    const known = new Map(times.map((time: number, place: number) => [Math.round(time / 1000), values[place]]));
    times = [];
    values = [];
    for (let at = grid.first; at <= grid.last; at += grid.step) {
      times.push(at * 1000);
      values.push(known.has(at) ? known.get(at) : null);
    }
  }
  const { __name__: name, ...labels } = series.metric;
  const shown = legend(series.metric, target);
  return toDataFrame({
    refId: target.refId,
    name: shown,
    meta: { type: 'timeseries-multi' as any },
    fields: [
      { name: 'Time', type: FieldType.time, values: times, config: { interval: (grid?.step ?? 0) * 1000 } },
      {
        name: name ?? 'Value',
        type: FieldType.number,
        labels,
        values,
        config: shown === undefined ? {} : { displayNameFromDS: shown },
      },
    ],
  });
}
