import { defineText } from "../../i18n";

export const homeText = defineText({
  en: { title: "Home" },
  ko: { title: "홈" },
});
