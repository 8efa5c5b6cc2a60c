/** Ending of the name of a file that holds many images. */
export const shardEnding = /\.(parquet|tar)$/i;
