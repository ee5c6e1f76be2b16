// Draws panels of a dashboard's JSON with Grafana's own components and given data, and reports what a
// reader sees of each panel. Called through DevTools: draw(request) returns the reports.

import { Component, ReactNode } from 'react';
import { createRoot, Root } from 'react-dom/client';
import { flushSync } from 'react-dom';

import {
  applyFieldOverrides,
  cacheFieldDisplayNames,
  createTheme,
  DataFrame,
  dataFrameFromJSON,
  DataFrameJSON,
  dateTime,
  FieldColorModeId,
  FieldConfigOptionsRegistry,
  FieldType,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  GrafanaTheme2,
  standardTransformers,
  standardTransformersRegistry,
  ThresholdsMode,
  transformDataFrame,
} from '@grafana/data';
import {
  BarGauge,
  BigValue,
  GlobalStyles,
  PanelChrome,
  ThemeContext,
  TimeSeries,
  VizRepeater,
} from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

type Model = any;

interface Request {
  title: string;
  subtitle: string;
  panels: Model[];
  /** The frames of each panel, by its id, as Grafana's server sends them. */
  frames: Record<string, DataFrameJSON[]>;
  mode: 'dark' | 'light';
  width: number;
  /** The time range, in milliseconds. */
  from: number;
  to: number;
}

interface Axis {
  max: number;
  ticks: string[];
}

interface Report {
  id: number;
  title: string;
  kind: string;
  series: number;
  points: number;
  largest: number | null;
  errors: string[];
  axes: Axis[];
  /** Heights in pixels; a hidden legend is one that the reader must scroll. */
  plotHeight: number | null;
  legendHeight: number | null;
  legendHidden: number;
  text: string;
}

// Grafana's grid.
const CELL = 30;
const GAP = 8;
const COLUMNS = 24;
const HEAD = 56;
// What is not drawn after half a minute is reported as it is.
const LOOKS = 75;
const LOOK_MILLISECONDS = 400;

// The defaults of the time series panel, which belongs to Grafana's server.
const TIME_SERIES = {
  drawStyle: 'line',
  lineInterpolation: 'linear',
  lineWidth: 1,
  fillOpacity: 0,
  gradientMode: 'none',
  spanNulls: false,
  insertNulls: false,
  showPoints: 'auto',
  pointSize: 5,
  stacking: { mode: 'none', group: 'A' },
  axisPlacement: 'auto',
  axisLabel: '',
  axisColorMode: 'text',
  axisBorderShow: false,
  axisCenteredZero: false,
  scaleDistribution: { type: 'linear' },
  hideFrom: { tooltip: false, viz: false, legend: false },
  thresholdsStyle: { mode: 'off' },
};

const reports = new Map<number, Report>();
let styles: Root | undefined;
let root: Root | undefined;

const organize = standardTransformers.organizeFieldsTransformer;
standardTransformersRegistry.setInit(() => [
  { id: organize.id, name: organize.name, transformation: async () => organize } as any,
]);

/** Every option that a panel sets, as one that is taken as it is. */
function optionsOf({ fieldConfig }: Model): FieldConfigOptionsRegistry {
  const names = new Set<string>(Object.keys(TIME_SERIES).map((name) => `custom.${name}`));
  const { custom = {}, ...standard } = fieldConfig.defaults;
  Object.keys(standard).forEach((name) => names.add(name));
  Object.keys(custom).forEach((name) => names.add(`custom.${name}`));
  for (const { properties } of fieldConfig.overrides) {
    properties.forEach((property: { id: string }) => names.add(property.id));
  }
  const registry = new FieldConfigOptionsRegistry();
  for (const id of [...names, 'color', 'thresholds']) {
    if (registry.getIfExists(id)) {
      continue;
    }
    const isCustom = id.startsWith('custom.');
    registry.register({
      id,
      path: isCustom ? id.slice('custom.'.length) : id,
      name: id,
      isCustom,
      process: (value: unknown) => value,
      shouldApply: () => true,
    } as any);
  }
  return registry;
}

/** The field options of a panel with the defaults that Grafana adds. */
function defaultsOf(panel: Model): Model {
  const isSeries = panel.type === 'timeseries';
  const mode = isSeries ? FieldColorModeId.PaletteClassic : FieldColorModeId.Thresholds;
  const { thresholds, custom, ...standard } = panel.fieldConfig.defaults;
  const steps = thresholds?.steps ?? [{ color: 'green', value: null }, { color: 'red', value: 80 }];
  return {
    color: { mode },
    ...standard,
    thresholds: {
      mode: ThresholdsMode.Absolute,
      // JSON has no infinity.
      steps: steps.map((step: Model) => ({ ...step, value: step.value ?? -Infinity })),
    },
    custom: isSeries ? { ...TIME_SERIES, ...custom } : (custom ?? {}),
  };
}

async function framesOf(panel: Model, request: Request, theme: GrafanaTheme2): Promise<DataFrame[]> {
  const read = (request.frames[panel.id] ?? []).map((frame) => dataFrameFromJSON(frame));
  const transformed = await new Promise<DataFrame[]>((next, error) => {
    transformDataFrame(panel.transformations ?? [], read).subscribe({ next, error });
  });
  const drawn = applyFieldOverrides({
    data: transformed,
    fieldConfig: { defaults: defaultsOf(panel), overrides: panel.fieldConfig.overrides },
    fieldConfigRegistry: optionsOf(panel),
    replaceVariables: (text: string) => text,
    theme,
    timeZone: 'utc',
  });
  // As Grafana does before it hands frames to a panel.
  cacheFieldDisplayNames(drawn);
  return drawn;
}

/** Keeps the axes of a plot at each drawing. */
function keepAxes(report: Report, builder: any): null {
  builder.addHook('draw', (plot: any) => {
    report.axes = plot.axes
      .filter((axis: any) => axis.scale !== 'x' && axis.show)
      .map((axis: any) => ({
        max: plot.scales[axis.scale].max,
        ticks: (axis._values ?? []).filter((tick: unknown) => tick != null && tick !== ''),
      }));
    report.plotHeight = plot.over.clientHeight;
  });
  return null;
}

interface DrawnProps {
  panel: Model;
  frames: DataFrame[];
  report: Report;
  request: Request;
  theme: GrafanaTheme2;
  width: number;
  height: number;
}

/** A number or a bar with its name. */
function OneValue({ panel, value, theme }: { panel: Model; value: any; theme: GrafanaTheme2 }) {
  const { value: shown, alignmentFactors, orientation, width, height, count } = value;
  const shared = { value: shown.display, alignmentFactors, width, height, theme: theme as any };
  if (panel.type === 'stat') {
    const { colorMode, graphMode } = panel.options;
    return <BigValue {...shared} colorMode={colorMode} graphMode={graphMode} count={count} />;
  }
  const { displayMode, showUnfilled, valueMode } = panel.options;
  return (
    <BarGauge
      {...shared}
      field={shown.field}
      display={shown.view?.getFieldDisplayProcessor(shown.colIndex)}
      orientation={orientation}
      itemSpacing={6}
      lcdCellWidth={12}
      displayMode={displayMode}
      showUnfilled={showUnfilled}
      valueDisplayMode={valueMode}
    />
  );
}

function Drawn({ panel, frames, report, request, theme, width, height }: DrawnProps) {
  if (!report.points) {
    return (
      <div style={{ display: 'grid', placeItems: 'center', height, color: theme.colors.text.secondary }}>
        {panel.fieldConfig.defaults.noValue ?? 'No data'}
      </div>
    );
  }
  const { from, to } = request;
  const timeRange = { from: dateTime(from), to: dateTime(to), raw: { from: dateTime(from), to: dateTime(to) } };
  switch (panel.type) {
    case 'timeseries':
      return (
        <TimeSeries
          frames={frames}
          timeRange={timeRange}
          timeZone="utc"
          width={width}
          height={height}
          legend={{ calcs: [], ...panel.options.legend }}
          options={panel.options}
          structureRev={1}
        >
          {(builder: any) => keepAxes(report, builder)}
        </TimeSeries>
      );
    case 'table':
      return <TableNG data={frames[0]} structureRev={1} noHeader={!panel.options.showHeader} width={width} height={height} />;
    case 'stat':
    case 'bargauge':
      return (
        <VizRepeater
          getValues={() =>
            getFieldDisplayValues({
              fieldConfig: { defaults: {}, overrides: [] },
              reduceOptions: panel.options.reduceOptions,
              replaceVariables: (text: string) => text,
              sparkline: false,
              theme,
              data: frames,
              timeZone: 'utc',
            })
          }
          getAlignmentFactors={getDisplayValueAlignmentFactors}
          renderValue={(value: any) => <OneValue {...{ panel, value, theme }} />}
          width={width}
          height={height}
          source={frames}
          itemSpacing={panel.type === 'stat' ? 3 : 6}
          autoGrid={panel.type === 'stat'}
          minVizHeight={16}
          orientation={panel.options.orientation ?? 'auto'}
        />
      );
    default:
      throw new Error(`a panel of the kind ${panel.type} cannot be drawn`);
  }
}

/** Keeps an error of a panel in its report, so that the others are still drawn. */
class Guarded extends Component<{ report: Report; children: ReactNode }, { failed: boolean }> {
  state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  componentDidCatch(error: unknown) {
    this.props.report.errors.push(String(error));
  }

  render() {
    return this.state.failed ? 'Error' : this.props.children;
  }
}

function reportOf(panel: Model, frames: DataFrame[]): Report {
  const numbers = frames
    .flatMap((frame) => frame.fields.filter((field) => field.type === FieldType.number))
    .flatMap((field) => [...field.values])
    .filter((value) => value != null && Number.isFinite(value));
  const rows = frames.reduce((sum, frame) => sum + frame.length, 0);
  return {
    id: panel.id,
    title: panel.title,
    kind: panel.type,
    series: frames.length,
    points: panel.type === 'table' ? rows : numbers.length,
    largest: numbers.length ? Math.max(...numbers) : null,
    errors: [],
    axes: [],
    plotHeight: null,
    legendHeight: null,
    legendHidden: 0,
    text: '',
  };
}

/** Adds what only the finished page shows. */
function measure(report: Report): void {
  const element = document.getElementById(`panel-${report.id}`)!;
  report.text = element.innerText;
  const legend = element.querySelector<HTMLElement>('[data-testid="data-testid viz-layout-legend"]');
  if (legend) {
    report.legendHeight = legend.clientHeight;
    const scrolled = [legend, ...legend.querySelectorAll<HTMLElement>('*')];
    report.legendHidden = Math.max(...scrolled.map((item) => item.scrollHeight - item.clientHeight));
  }
}

/** Removes the addresses of fonts that Grafana's server has; the fonts of the machine are used. */
function useLocalFonts(): void {
  // The page's own file has no fonts.
  for (const sheet of [...document.styleSheets].filter(({ href }) => !href)) {
    for (let at = sheet.cssRules.length - 1; at >= 0; at--) {
      if (sheet.cssRules[at] instanceof CSSFontFaceRule) {
        sheet.deleteRule(at);
      }
    }
  }
}

/** Waits until all panels are drawn and no longer change: a plot is drawn again beside its legend. */
async function settled(): Promise<void> {
  const shown = [...reports.values()].filter(({ points }) => points);
  const isDrawn = ({ id, kind, axes, errors }: Report) =>
    errors.length > 0 ||
    (kind === 'timeseries' && axes.length > 0) ||
    (kind === 'table' && document.querySelector(`#panel-${id} [role=gridcell]`) !== null) ||
    kind === 'stat' || kind === 'bargauge';
  let before = '';
  for (let look = 0; look < LOOKS; look++) {
    await new Promise((done) => setTimeout(done, LOOK_MILLISECONDS));
    const sizes = shown.map(({ axes, plotHeight }) => [axes, plotHeight]);
    const now = JSON.stringify([sizes, document.body.innerText]);
    if (now === before && shown.every(isDrawn)) {
      return;
    }
    before = now;
  }
}

async function draw(request: Request): Promise<Report[]> {
  const theme = createTheme({ colors: { mode: request.mode } });
  const frames = new Map<number, DataFrame[]>();
  reports.clear();
  for (const panel of request.panels) {
    if (panel.type !== 'row') {
      frames.set(panel.id, await framesOf(panel, request, theme));
      reports.set(panel.id, reportOf(panel, frames.get(panel.id)!));
    }
  }
  const column = (request.width - GAP * (COLUMNS + 1)) / COLUMNS;
  const place = ({ x, y, w, h }: Record<string, number>) => ({
    left: GAP + x * (column + GAP),
    top: HEAD + y * (CELL + GAP),
    width: w * (column + GAP) - GAP,
    height: h * (CELL + GAP) - GAP,
  });
  const height = HEAD + Math.max(...request.panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * (CELL + GAP);
  const text = { fontFamily: theme.typography.fontFamily, color: theme.colors.text.primary };
  styles?.unmount();
  root?.unmount();
  styles = createRoot(document.createElement('div'));
  flushSync(() => styles!.render(<ThemeContext.Provider value={theme}><GlobalStyles /></ThemeContext.Provider>));
  useLocalFonts();
  root = createRoot(document.getElementById('root')!);
  root.render(
    <ThemeContext.Provider value={theme}>
      <div style={{ ...text, position: 'relative', width: request.width, height, background: theme.colors.background.canvas }}>
        <header style={{ padding: '16px 16px 0', display: 'flex', gap: 16, alignItems: 'baseline' }}>
          <strong style={{ fontSize: 18 }}>{request.title}</strong>
          <span style={{ color: theme.colors.text.secondary }}>{request.subtitle}</span>
        </header>
        {request.panels.map((panel) => {
          const box = place(panel.gridPos);
          const report = reports.get(panel.id);
          return (
            <section key={panel.id} id={`panel-${panel.id}`} style={{ position: 'absolute', ...box }}>
              {report ? (
                <Guarded report={report}>
                  <PanelChrome title={panel.title} width={box.width} height={box.height} padding={panel.type === 'table' ? 'none' : 'md'}>
                    {(width, height) => (
                      <Drawn {...{ panel, report, request, theme, width, height }} frames={frames.get(panel.id)!} />
                    )}
                  </PanelChrome>
                </Guarded>
              ) : (
                <h2 style={{ margin: 0, padding: '4px 8px', fontSize: 16 }}>{panel.title}</h2>
              )}
            </section>
          );
        })}
      </div>
    </ThemeContext.Provider>
  );
  await document.fonts.ready;
  await settled();
  reports.forEach(measure);
  return [...reports.values()];
}

Object.assign(window, { draw });
