// Grafana's components by the panel types of a dashboard's JSON.
import React from 'react';
import {
  cacheFieldDisplayNames, FieldType, getFieldDisplayValues, identityOverrideProcessor, PanelPlugin, PanelProps,
  ReducerID, VizOrientation,
} from '@grafana/data';
import { BigValue, TimeSeries, useTheme2, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { sceneUtils } from '@grafana/scenes';
import { Nothing, StateTimeline } from './timeline';

const LINES = {
  drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none',
  lineStyle: undefined, spanNulls: false, insertNulls: false, showPoints: 'auto', pointSize: 5,
  stacking: { mode: 'none', group: 'A' }, barAlignment: 0, barWidthFactor: 0.6, axisPlacement: 'auto',
  axisLabel: '', axisWidth: undefined, axisSoftMin: undefined, axisSoftMax: undefined,
  axisGridShow: undefined, axisCenteredZero: false, axisColorMode: 'text', axisBorderShow: false,
  scaleDistribution: { type: 'linear' }, hideFrom: { tooltip: false, viz: false, legend: false },
  thresholdsStyle: { mode: 'off' }, fillBelowTo: undefined, lineColor: undefined, fillColor: undefined,
  transform: undefined,
};
const CELLS = {
  align: 'auto', cellOptions: { type: 'auto' }, width: undefined, minWidth: undefined, inspect: false,
  filterable: false, hidden: false, hideFrom: undefined, wrapHeaderText: false, footer: undefined,
  tooltip: undefined,
};

const isEmpty = (props: PanelProps) => !props.data.series.some((frame) => frame.length > 0);

function Stat(props: PanelProps<any>) {
  const theme = useTheme2();
  if (isEmpty(props)) return <Nothing {...props} />;
  const { options } = props;
  const reduceOptions = { values: false, calcs: [ReducerID.lastNotNull], fields: '', ...options.reduceOptions };
  const values = () =>
    getFieldDisplayValues({
      fieldConfig: props.fieldConfig,
      reduceOptions,
      replaceVariables: props.replaceVariables,
      theme,
      data: props.data.series,
      timeZone: props.timeZone,
      sparkline: options.graphMode !== 'none',
    });
  return (
    <VizRepeater
      getValues={values}
      getAlignmentFactors={() => ({ title: '', text: '' }) as any}
      renderValue={({ value, width, height, count }: any) => (
        <BigValue
          value={value.display}
          count={count}
          sparkline={value.sparkline}
          colorMode={options.colorMode ?? 'value'}
          graphMode={options.graphMode ?? 'area'}
          justifyMode={options.justifyMode ?? 'auto'}
          textMode={options.textMode === 'auto' || !options.textMode ? ((count === 1 ? 'value' : 'value_and_name') as any) : options.textMode}
          width={width}
          height={height}
          theme={theme}
          text={options.text}
          wideLayout={options.wideLayout ?? true}
        />
      )}
      width={props.width}
      height={props.height}
      source={props.data}
      itemSpacing={3}
      renderCounter={props.renderCounter}
      autoGrid
      orientation={options.orientation ?? VizOrientation.Auto}
    />
  );
}

function Lines(props: PanelProps<any>) {
  const frames = props.data.series.filter(
    (frame) =>
      frame.fields.some((field) => field.type === FieldType.time) &&
      frame.fields.some((field) => field.type === FieldType.number)
  );
  if (!frames.length || isEmpty(props)) return <Nothing {...props} />;
  const legend: any = { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [], ...props.options.legend };
  return (
    <TimeSeries
      frames={frames}
      structureRev={props.data.structureRev}
      timeRange={props.timeRange}
      timeZone={props.timeZone}
      width={props.width}
      height={props.height}
      legend={legend}
      options={props.options}
    >
      {() => <></>}
    </TimeSeries>
  );
}

function Rows(props: PanelProps<any>) {
  const frame = props.data.series[props.options.frameIndex ?? 0];
  if (!frame?.length) return <Nothing {...props} />;
  cacheFieldDisplayNames([frame]);
  const more: any = { getActions: () => [], enableSharedCrosshair: false, showTypeIcons: false };
  return (
    <TableNG
      data={frame}
      width={props.width}
      height={props.height}
      noHeader={props.options.showHeader === false}
      initialSortBy={props.options.sortBy}
      cellHeight={props.options.cellHeight ?? 'sm'}
      fieldConfig={props.fieldConfig}
      structureRev={props.data.structureRev}
      timeRange={props.timeRange}
      {...more}
    />
  );
}

const KINDS: Record<string, [React.ComponentType<PanelProps<any>>, object?]> = {
  stat: [Stat],
  timeseries: [Lines, LINES],
  'state-timeline': [StateTimeline, LINES],
  table: [Rows, CELLS],
};

export const isDrawn = (kind: string) => kind in KINDS;

export function register() {
  for (const [pluginId, [component, defaults]] of Object.entries(KINDS)) {
    const plugin: any = new PanelPlugin(component);
    plugin.useFieldConfig({
      ...(defaults && { useCustomConfig: editors(defaults) }),
      ...(defaults === LINES && {
        standardOptions: { color: { settings: { bySeriesSupport: true }, defaultValue: { mode: 'palette-classic' } } },
      }),
    });
    sceneUtils.registerRuntimePanelPlugin({ pluginId, plugin });
  }
}

const editors = (defaults: object) => (builder: any) => {
  for (const [path, defaultValue] of Object.entries(defaults)) {
    builder.addCustomEditor({
      id: path, path, name: path, defaultValue, editor: () => null, override: () => null,
      process: identityOverrideProcessor, shouldApply: () => true,
    });
  }
};
