// Tabs of a page. The chosen one is in the URL (`name` is the search parameter), so that a reload stays.

import type { ReactNode } from "react";
import { Tabs as AriaTabs, Tab, TabList, TabPanel } from "react-aria-components/Tabs";
import { useSearch } from "../app/router";
import styles from "./tabs.module.css";

export interface TabItem {
  id: string;
  label: ReactNode;
  /** Made when first chosen. */
  content: () => ReactNode;
}

export function Tabs({ label, items, name = "tab" }: { label: string; items: TabItem[]; name?: string }) {
  const first = items[0]?.id ?? "";
  const [chosen, choose] = useSearch(name, first);
  const selected = items.some((item) => item.id === chosen) ? chosen : first;
  return (
    <AriaTabs selectedKey={selected} onSelectionChange={(key) => choose(String(key))} className={styles.tabs ?? ""}>
      <TabList aria-label={label} className={styles.list ?? ""}>
        {items.map((item) => (
          <Tab key={item.id} id={item.id} className={styles.tab ?? ""}>
            {item.label}
          </Tab>
        ))}
      </TabList>
      {items.map((item) => (
        <TabPanel key={item.id} id={item.id} className={styles.panel ?? ""}>
          {item.id === selected && item.content()}
        </TabPanel>
      ))}
    </AriaTabs>
  );
}
