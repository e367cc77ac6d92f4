<?php
// The sample that every answer about SSE in PHP comes down to.
header('Content-Type: text/event-stream');
header('Cache-Control: no-cache');

$id = 0;
while (true) {
    echo "id: $id\n";
    echo 'data: ' . date('H:i:s') . "\n\n";
    $id++;
    if (ob_get_level() > 0) {
        ob_flush();
    }
    flush();
    if (connection_aborted()) {
        break;
    }
    sleep(1);
}
