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
      reSelect: "Choose again",
      // It is the heading as well where files failed, or wait to be chosen again.
      uploadPaused: "Not all files are uploaded",
      error: "Not all files are uploaded",
    },
  },
  chooseAgain: "Choose this file again, so that its upload can go on.",
};
