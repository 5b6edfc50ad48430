// How marts depend on each other: drawn where it can be read, around one mart where it is large.

import "@xyflow/react/dist/style.css";
import { Background, Controls, type Edge, Handle, type Node, type NodeProps, Position, ReactFlow } from "@xyflow/react";
import { memo, useMemo } from "react";
import { Link, pathOf, useSearch } from "../../app/router";
import { useLanguage, useText } from "../../i18n";
import { formatNumber } from "../../i18n/format";
import { Button, Status, Time, Toolbar } from "../../ui";
import { NODE, place, select } from "./layout";
import styles from "./marts.module.css";
import { tone } from "./states";
import { martsText, stateText, stateWord } from "./text";
import type { MartItem } from "./types";

type Data = { name: string; mart: MartItem | undefined; middle: boolean };
type MartNode = Node<Data, "mart">;

export function Graph({ marts, focus: given }: { marts: MartItem[]; focus?: string | undefined }) {
  const text = useText(martsText);
  const [asked, ask] = useSearch("focus", given ?? "");
  const drawn = useMemo(() => select(marts, asked || given), [marts, asked, given]);
  const names = drawn.names.join("\n");
  const shape = drawn.edges.join("\n");
  // Where nodes stand depends on the graph alone, not on how its marts do.
  // biome-ignore lint/correctness/useExhaustiveDependencies: names and shape stand for `drawn`
  const places = useMemo(() => place(drawn), [names, shape]);
  const nodes = useMemo<MartNode[]>(() => {
    const known = new Map(marts.map((mart) => [mart.mart, mart]));
    return drawn.names.map((name) => ({
      id: name,
      type: "mart",
      position: places.get(name) ?? { x: 0, y: 0 },
      width: NODE.width,
      height: NODE.height,
      data: { name, mart: known.get(name), middle: name === drawn.focus },
      draggable: false,
      connectable: false,
      ariaLabel: name,
    }));
  }, [marts, drawn, places]);
  const edges = useMemo<Edge[]>(
    () => drawn.edges.map(([from, to]) => ({ id: `${from} ${to}`, source: from, target: to, focusable: false })),
    [drawn],
  );
  return (
    <div className={styles.graphBox}>
      {drawn.focus && (
        <Toolbar>
          <span className={styles.under}>{text.graphPart(drawn.names.length, drawn.total)}</span>
          <strong>{drawn.focus}</strong>
          {asked && drawn.total <= 150 && (
            <Button small onPress={() => ask("")}>
              {text.graphWhole}
            </Button>
          )}
        </Toolbar>
      )}
      <section className={styles.graph} data-small={drawn.names.length <= 8 || undefined} aria-label={text.graphLabel}>
        <ReactFlow
          key={`${drawn.focus ?? ""} ${drawn.names.length}`}
          nodes={nodes}
          edges={edges}
          nodeTypes={TYPES}
          fitView
          fitViewOptions={{ maxZoom: 1, minZoom: 0.35, padding: 0.08 }}
          minZoom={0.15}
          maxZoom={1.6}
          nodesDraggable={false}
          nodesConnectable={false}
          edgesFocusable={false}
          elementsSelectable
          onlyRenderVisibleElements
          proOptions={{ hideAttribution: true }}
          onNodeDoubleClick={(_, node) => ask(node.id)}
        >
          <Background gap={24} />
          <Controls showInteractive={false} />
        </ReactFlow>
      </section>
    </div>
  );
}

const MartBox = memo(function MartBox({ data }: NodeProps<MartNode>) {
  const text = useText(martsText);
  const states = useText(stateText);
  const { language } = useLanguage();
  const { name, mart, middle } = data;
  const [dataset = "", table = ""] = name.split(".", 2);
  const path = mart ? pathOf("marts", name) : pathOf("catalog", dataset, table);
  return (
    <div className={styles.node} data-tone={mart ? tone(mart.state) : "source"} data-middle={middle || undefined}>
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <Link to={path} className={styles.nodeName ?? ""} title={name}>
        <span className={styles.dataset}>{dataset}.</span>
        {table}
      </Link>
      <span className={styles.nodeUnder}>
        {mart ? (
          <>
            <Status tone={mart.broken ? "bad" : tone(mart.state)}>
              {mart.broken ? text.broken : stateWord(states, mart.state)}
            </Status>
            {mart.published_at && <Time at={mart.published_at} ago />}
            {mart.rows !== null && mart.rows !== undefined && <span>{formatNumber(mart.rows, language)}</span>}
          </>
        ) : (
          text.source
        )}
      </span>
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  );
});

const TYPES = { mart: MartBox };
