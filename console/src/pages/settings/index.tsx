// Settings: how the console looks, who one is, one's tokens and browsers.

import { useSession } from "../../app/session";
import { setTheme, type Theme, useTheme } from "../../app/theme";
import { useLanguage, useText } from "../../i18n";
import { Page, Pairs, Panel, Select } from "../../ui";
import { Sessions } from "./sessions";
import styles from "./settings.module.css";
import { settingsText } from "./text";
import { Tokens } from "./tokens";

export default function Settings() {
  const text = useText(settingsText);
  const me = useSession();
  return (
    <Page title={text.title}>
      <Panel title={text.look}>
        <Look />
      </Panel>
      <Panel title={text.account}>
        <Pairs
          items={[
            [text.name, me.shown],
            [text.email, me.name],
            [text.role, me.admin ? text.admin : text.person],
            [text.version, me.version],
          ]}
        />
      </Panel>
      <Tokens />
      <Sessions />
    </Page>
  );
}

function Look() {
  const text = useText(settingsText);
  const { language, setLanguage } = useLanguage();
  const theme = useTheme();
  const themes: Theme[] = ["system", "light", "dark"];
  return (
    <div className={styles.row}>
      <Select
        label={text.language}
        value={language}
        onChange={setLanguage}
        items={[
          { id: "ko", label: "한국어" },
          { id: "en", label: "English" },
        ]}
      />
      <Select
        label={text.theme}
        value={theme}
        onChange={setTheme}
        items={themes.map((id) => ({ id, label: text.themes[id] }))}
      />
    </div>
  );
}
