// Uppy's words, where others are plainer.
const pluralize = (count: number) => (count === 1 ? 0 : 1);

export const WORDS = {
  core: {
    pluralize,
    strings: {
      exceedsSize: "“%{file}” is larger than %{size}.",
      inferiorSize: "An empty file cannot be uploaded.",
      noDuplicates: "“%{fileName}” is in the list already.",
      failedToUpload: "“%{file}” could not be uploaded.",
      noInternetConnection: "No connection. Uploads go on once there is one.",
      connectedToInternet: "There is a connection again.",
    },
  },
  dashboard: {
    pluralize,
    strings: {
      dashboardTitle: "Uploads",
      sessionRestored: "Unfinished uploads",
      recoveredAllFiles: "The page was closed before these uploads were finished. They can go on from where they were.",
      recoveredXFiles: {
        0: "One file must be chosen again before its upload can go on.",
        1: "%{smart_count} files must be chosen again before their uploads can go on.",
      },
      reSelect: "Choose again",
    },
  },
};
