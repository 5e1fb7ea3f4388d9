<?php
// An ordinary page. The pause stands for the work of a real app.
usleep(50000);
?>
<!doctype html>
<title>Parcels</title>
<ul>
<?php foreach ([41, 42, 43] as $id) { ?>
  <li><a href="index.html?id=<?= $id ?>">Parcel <?= $id ?></a></li>
<?php } ?>
</ul>
