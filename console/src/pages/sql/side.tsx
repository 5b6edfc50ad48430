// What stands beside a sheet: tables, saved queries, history.

import { PanelLeftClose } from "lucide-react";
import { useState } from "react";
import { Tab, TabList, TabPanel, Tabs } from "react-aria-components/Tabs";
import { useText } from "../../i18n";
import { IconButton } from "../../ui";
import type { Past } from "./api";
import { HistoryList, SavedList } from "./past";
import styles from "./sql.module.css";
import { sqlText } from "./text";
import { TableTree } from "./tree";

export interface SideProps {
  /** Shown first: on a small screen people come for what they saved. */
  first: "tables" | "saved";
  saved: string | null;
  onInsert: (text: string) => void;
  onPreview: (title: string, sql: string) => void;
  onPast: (past: Past) => void;
  onHide: () => void;
}

export function Side({ first, saved, onInsert, onPreview, onPast, onHide }: SideProps) {
  const text = useText(sqlText);
  const [shown, setShown] = useState<string>(first);
  const tabs = [
    ["tables", text.tables, () => <TableTree onInsert={onInsert} onPreview={onPreview} />],
    ["saved", text.saved, () => <SavedList current={saved} />],
    ["history", text.history, () => <HistoryList onOpen={onPast} />],
  ] as const;
  return (
    <Tabs className={styles.side ?? ""} selectedKey={shown} onSelectionChange={(key) => setShown(String(key))}>
      <div className={styles.sideHead}>
        <TabList aria-label={text.side} className={styles.sideTabs ?? ""}>
          {tabs.map(([id, label]) => (
            <Tab key={id} id={id} className={styles.sideTab ?? ""}>
              {label}
            </Tab>
          ))}
        </TabList>
        <IconButton small label={text.hideSide} icon={PanelLeftClose} onPress={onHide} />
      </div>
      {tabs.map(([id, , content]) => (
        <TabPanel key={id} id={id} className={styles.sidePanel ?? ""}>
          {content()}
        </TabPanel>
      ))}
    </Tabs>
  );
}
