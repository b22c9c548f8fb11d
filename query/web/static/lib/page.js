/** What every page does. */

import { look } from "./jobs.js";

look();
