<?php
// The app's users and parcels, and where the parcels have been. A real app has a database.
const PEOPLE = [
    // sunflower
    'anna' => ['password' => '$2y$10$Z.6/JIQwxwuncaEPj/AVmO9t8eqEjTGThIo3.Xtxn7i1dtjSSgeIO', 'parcel' => 'HF-1042'],
    // lighthouse
    'bert' => ['password' => '$2y$10$uLEKpCkzZ5BRn2QTQjHEzuOPQ4aNeNDWmeycVxPZE2enP.u6N5JqK', 'parcel' => 'HF-2077'],
];

function history(string $parcel): string
{
    return sys_get_temp_dir() . "/parcel-$parcel";
}

/** What is known of a parcel, the newest first. */
function parcel(string $parcel): array
{
    $stops = [['at' => '06:12', 'text' => 'Handed in at the counter']];
    foreach (is_file(history($parcel)) ? file(history($parcel), FILE_IGNORE_NEW_LINES) : [] as $line) {
        [$at, $text] = explode("\t", $line, 2);
        array_unshift($stops, ['at' => $at, 'text' => $text]);
    }
    return ['parcel' => $parcel, 'stops' => $stops];
}
