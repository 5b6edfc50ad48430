// Leaves out of the bundle the texts of React Aria for languages that the console does not speak.

const KEPT = /(ko-KR|en-US)\.(mjs|js|json|cjs)$/;
const OTHER = /intl\/.*[a-z]{2}-[A-Z]{2}\.(mjs|js|json|cjs)$/;

export function optimizeLocales() {
  return {
    name: "naru-locales",
    enforce: "pre" as const,
    load(id: string) {
      const path = (id.split("?")[0] ?? id).replaceAll("\\", "/");
      if (path.includes("react-aria") && OTHER.test(path) && !KEPT.test(path)) return "export default {};";
      return null;
    },
  };
}
