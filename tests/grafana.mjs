// Checks deploy/grafana/dashboards against Grafana's published types of dashboards and panels, with
// TypeScript. Usage: node grafana.mjs MODULES, a node_modules with typescript and the
// @grafana/schema of the Grafana in deploy/compose.yaml.
import { mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const modules = resolve(process.argv[2]);
const require = createRequire(join(modules, "..", "package.json"));
const ts = require("typescript");

// Plugins whose options are published, and whether their fields have options of their own.
const plugins = {
    barchart: ["BarChart", true], bargauge: ["BarGauge", false], stat: ["Stat", false], table: ["Table", true],
    timeseries: ["TimeSeries", true], xychart: ["XYChart", true],
};
const schema = `${modules}/@grafana/schema/dist/esm`;

// In JSON an enum is its value, and what is left out is the default. Queries and annotations belong
// to the data source, which publishes no types: theirs are of
// https://grafana.com/docs/grafana/latest/datasources/prometheus/.
const types = `
type Json<T> = T extends string ? \`\${T}\` : T extends (infer U)[] ? Json<U>[] : T extends object ? { [K in keyof T]?: Json<T[K]> } : T;
type Source = { type: "prometheus"; uid: "\${datasource}" };
type Target = {
  refId: string; datasource?: Source; expr: string; legendFormat?: string; editorMode?: "code"; interval?: string;
  instant?: boolean; range?: boolean; format?: "time_series" | "table";
};
type Override = {
  matcher: { id: "byName" | "byRegexp" | "byType" | "byFrameRefID"; options?: string };
  properties: { id: string; value?: unknown }[];
};
type Panel<Type extends string, Options, Custom> =
  Json<Omit<G.Panel, "type" | "datasource" | "targets" | "options" | "fieldConfig">> & {
    type: Type; datasource: Source; targets: Target[]; options: Json<Options>;
    fieldConfig: { defaults: Json<Omit<G.FieldConfig, "custom">> & { custom?: Json<Custom> }; overrides: Override[] };
  };
type Row = Json<Omit<G.RowPanel, "panels">> & { panels: [] };
type Annotation = Json<Omit<G.AnnotationQuery, "datasource">> & {
  datasource: Source | { type: "grafana"; uid: "-- Grafana --" };
  expr?: string; step?: string; titleFormat?: string; textFormat?: string; tagKeys?: string; useValueForTime?: boolean;
};
type Variable = Json<G.VariableModel> & { definition?: string };
type Dashboard = Json<Omit<G.Dashboard, "panels" | "annotations" | "templating">> & {
  annotations: { list: Annotation[] }; templating: { list: Variable[] };
};
`;

/** The dashboards as declarations of those types; a panel is a declaration of its own, so that an error names it. */
function declarations() {
    const lines = [`import type * as G from "${schema}/index";`];
    for (const [plugin, [name]] of Object.entries(plugins)) {
        const file = `${schema}/raw/composable/${plugin}/panelcfg/x/${name}PanelCfg_types.gen`;
        lines.push(`import type * as ${name} from "${file}";`);
    }
    lines.push(types);
    const folder = new URL("../deploy/grafana/dashboards/", import.meta.url);
    const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
    if (files.length === 0) throw new Error("there are no dashboards");
    for (const file of files) {
        const { panels, ...dashboard } = JSON.parse(readFileSync(new URL(file, folder), "utf8"));
        const declare = (title, type, value) =>
            lines.push(`{ // ${file}: ${title}\nconst it: ${type} = ${JSON.stringify(value, null, 1)};\n}`);
        declare("the dashboard", "Dashboard", dashboard);
        // A collapsed row contains its panels.
        const all = panels.flatMap((panel) => (panel.type === "row" ? [{ ...panel, panels: [] }, ...panel.panels] : [panel]));
        for (const panel of all) {
            const [name, hasFields] = plugins[panel.type] ?? [];
            if (panel.type !== "row" && !name) throw new Error(`${file}: ${panel.title}: no types for a ${panel.type}`);
            const fields = hasFields ? `${name}.FieldConfig` : "{}";
            declare(panel.title, name ? `Panel<"${panel.type}", ${name}.Options, ${fields}>` : "Row", panel);
        }
    }
    return lines.join("\n");
}

/** What TypeScript finds wrong, each with the panel that it is in. */
function wrong(source) {
    const folder = mkdtempSync(join(tmpdir(), "digits-grafana-"));
    try {
        symlinkSync(modules, join(folder, "node_modules"));
        const path = join(folder, "dashboards.ts");
        writeFileSync(path, source);
        const options = {
            noEmit: true, strict: true, skipLibCheck: true,
            module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler,
        };
        const found = ts.getPreEmitDiagnostics(ts.createProgram([path], options));
        return found.map((it) => {
            const before = source.slice(0, it.start ?? 0);
            const where = before.slice(before.lastIndexOf("\n{ // ") + 6).split("\n")[0];
            return `${where}: ${ts.flattenDiagnosticMessageText(it.messageText, "\n  ")}`;
        });
    } finally {
        rmSync(folder, { recursive: true });
    }
}

const source = declarations();
const found = wrong(source);
for (const line of found) console.error(line);
// It sees a field that there is not, and a value that is none.
for (const [good, bad] of [['"unit": "s"', '"unti": "s"'], ['"mode": "multi"', '"mode": "many"'], ['"expr":', '"exrp":']]) {
    if (!source.includes(good)) throw new Error(`no dashboard has ${good}`);
    if (wrong(source.replace(good, bad)).length <= found.length) throw new Error(`${bad} is taken`);
}
process.exit(found.length === 0 ? 0 : 1);
