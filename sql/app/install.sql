-- The app track: what it is, in the order in which it can be made, on top of the credits track.
--
-- The app of the worked example: profiles, projects, their layers and exports, and an export for a credit.

